"""Check names that reach a shell: Triton's Python backend starts its processes by `bash -c` and quotes nothing.

The command line contains the paths of the server, of the model repository and of the model file, and the names of the
model and its instances (`src/stub_launcher.cc` of the Python backend). The shell executes special characters there, or
fails on them.
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
    """Yield a line where the name of a model's folder has special characters."""
    if _NOT_PLAIN.search(name):
        yield (
            f"{folder}: the name has {_characters(name)}; expected letters of ASCII, digits, '.', '_' and '-' alone, "
            f"as {_WHY}; rename the folder, such as to '{plain(name)}'"
        )


def setting_problems(config: ModelConfig, shown: str) -> Iterator[str]:
    """Yield a line for each name in a configuration that reaches the command line and has special characters."""
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
    """Tell whether a model brings a Python environment for its backend to activate."""
    return EXECUTION_ENVIRONMENT in config.parameters


def execution_environment(config: ModelConfig) -> str:
    """Return the place of that environment as the configuration writes it; "" where it names none."""
    return config.parameters[EXECUTION_ENVIRONMENT].string_value if has_execution_environment(config) else ""


def plain(name: str) -> str:
    """Make a similar name of plain characters alone."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return _NOT_PLAIN.sub("_", letters).strip("_") or "model"


def _characters(name: str) -> str:
    found = dict.fromkeys(character for character in name if not PLAIN_PATH.fullmatch(character) or character == "/")
    return "a space" if list(found) == [" "] else " and ".join(repr(character) for character in list(found)[:3])
