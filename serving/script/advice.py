"""Advice on a failed import, in an entry script or in a model in Python, by the words of the exception."""

from __future__ import annotations

import re

_MISSING = re.compile(r"ModuleNotFoundError: No module named '(?P<name>[^']+)'")
_AZURE = "cannot import name '[^']+' from 'azureml.core"
_RELATIVE = "ImportError: attempted relative import with no known parent package"


def import_advice(words: str) -> str:
    """Give the advice that fits an exception's words; an empty text where they name no failed import."""
    if found := _MISSING.search(words):
        return f"no installed package has '{found['name']}': add the one that does to environment.pipPackages"
    if re.search(_AZURE, words):
        return "of azureml.core, the server has Model.get_model_path alone: add azureml-core to environment.pipPackages"
    if _RELATIVE in words:
        return "the script belongs to no package: import what lies beside it by its name alone, without a dot"
    return ""
