"""Azure's module names for what is ours, so that published scripts import what they always did."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

# Azure's module, ours, and what it has.
_OURS = {
    "azureml.contrib.services.aml_request": ("serving.rawhttp", "AMLRequest", "rawhttp"),
    "azureml.contrib.services.aml_response": ("serving.rawhttp", "AMLResponse"),
    "azureml_inference_server_http.api.aml_request": ("serving.rawhttp", "AMLRequest", "rawhttp"),
    "azureml_inference_server_http.api.aml_response": ("serving.rawhttp", "AMLResponse"),
    "azureml_inference_server_http.log_config": ("serving.logs", "AMLLogFormatter", "RootAccessFilter"),
}
# The same where no installed distribution has it: Azure's own has more.
_SUBSTITUTES = {
    "azureml.core": ("serving.azure_model", "Model"),
    "azureml.core.model": ("serving.azure_model", "Model"),
}
_PACKAGES = frozenset(name.rsplit(".", depth)[0] for name in _OURS for depth in (1, 2, 3) if name.count(".") >= depth)


def install() -> None:
    """Answer for these names. Other modules of installed distributions that share the packages stay importable."""
    if not any(isinstance(finder, _NameFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _NameFinder())
        sys.meta_path.append(_PackageFinder())


class _NameFinder(importlib.abc.MetaPathFinder):
    """Comes first: our modules replace those of an installed Azure SDK."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(fullname, _NameLoader()) if fullname in _OURS else None


class _PackageFinder(importlib.abc.MetaPathFinder):
    """Comes last: substitutes and empty packages, where no distribution has them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname in _SUBSTITUTES:
            return importlib.machinery.ModuleSpec(fullname, _NameLoader(), is_package=fullname == "azureml.core")
        return importlib.machinery.ModuleSpec(fullname, None, is_package=True) if fullname in _PACKAGES else None


class _NameLoader(importlib.abc.Loader):
    def exec_module(self, module: ModuleType) -> None:
        ours_name, *names = (_OURS | _SUBSTITUTES)[module.__name__]
        ours = importlib.import_module(ours_name)
        for name in names:
            setattr(module, name, getattr(ours, name))
