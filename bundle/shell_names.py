"""Names that reach a shell: Triton's Python backend starts its processes by `bash -c`, with nothing quoted.

On that command line stand the paths of the server, of the model repository and of the model file, and the names of the
model and its instances (`src/stub_launcher.cc` of the Python backend). What is not plain there is executed, or breaks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from bundle.model_config import ModelConfig

PLAIN_PATH = re.compile(r"[A-Za-z0-9._/-]+")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")
_WHY = "Triton's Python backend puts it on a shell's command line"
EXECUTION_ENVIRONMENT = "EXECUTION_ENV_PATH"
MODEL_DIRECTORY = "$$TRITON_MODEL_DIRECTORY"


def folder_problems(folder: str, name: str) -> Iterator[str]:
    """What is wrong with the name of a model's folder."""
    if _NOT_PLAIN.search(name):
        yield (
            f"{folder}: the name has {_characters(name)}; expected letters of ASCII, digits, '.', '_' and '-' alone, "
            f"as {_WHY}; rename the folder, such as to '{plain(name)}'"
        )


def setting_problems(config: ModelConfig, shown: str) -> Iterator[str]:
    """What is wrong with names in a configuration that reach the command line."""
    named = [("default_model_filename", config.default_model_filename)]
    named += [(f"cc_model_filenames['{key}']", file) for key, file in sorted(config.cc_model_filenames.items())]
    named += [("the name of an instance_group", group.name) for group in config.instance_group]
    named.append((f"parameter {EXECUTION_ENVIRONMENT}", execution_environment(config).replace(MODEL_DIRECTORY, "", 1)))
    for setting, value in named:
        if value and not PLAIN_PATH.fullmatch(value):
            yield (
                f"{shown}: {setting} has {_characters(value)}; expected letters of ASCII, digits, '.', '_', '-' and "
                f"'/' alone, as {_WHY}; rename it"
            )
        elif setting.endswith("filename") and ".." in value.split("/"):
            yield f"{shown}: {setting} is '{value}', which leaves the version's folder; expected a file in it"


def has_execution_environment(config: ModelConfig) -> bool:
    """Whether a model brings the Python environment that its backend is to activate."""
    return EXECUTION_ENVIRONMENT in config.parameters


def execution_environment(config: ModelConfig) -> str:
    """Where that environment is, as the configuration says it; an empty text where it says nothing."""
    return config.parameters[EXECUTION_ENVIRONMENT].string_value if has_execution_environment(config) else ""


def plain(name: str) -> str:
    """A name like this one that has nothing but plain characters."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return _NOT_PLAIN.sub("_", letters).strip("_") or "model"


def _characters(name: str) -> str:
    found = dict.fromkeys(character for character in name if not PLAIN_PATH.fullmatch(character) or character == "/")
    return "a space" if list(found) == [" "] else " and ".join(repr(character) for character in list(found)[:3])
