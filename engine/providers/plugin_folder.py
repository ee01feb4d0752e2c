"""A provider in a folder of the project: `PulumiPlugin.yaml`, and the command that runs it."""

from __future__ import annotations

import sys
from pathlib import Path

from engine.errors import CLI_HINT, EngineError
from engine.state.stack_file import load_yaml

_MANIFEST = "PulumiPlugin.yaml"
_EXAMPLE = "runtime: {name: python, options: {toolchain: pip, virtualenv: ../.venv}}"


def command(package: str, folder: Path) -> list[str]:
    """Return the command that starts the provider in the folder, all but the engine's address.

    The interpreter is that of the manifest's `virtualenv`, a path from the folder, as Pulumi's language host for
    Python has it; where the virtual environment is missing, the engine's own interpreter runs the provider.

    Args:
        package: The provider's name in `Pulumi.yaml`.
        folder: The folder that `Pulumi.yaml` names for it.

    Returns:
        The interpreter, its flags and the folder, whose `__main__.py` Python runs.

    Raises:
        EngineError: The folder, its manifest or its program is missing, or the manifest names another language.
    """
    if not folder.is_dir():
        raise _mistake(package, f"the folder '{folder}' does not exist. Expected a folder with a '{_MANIFEST}'")
    manifest = folder / _MANIFEST
    if not manifest.is_file():
        raise _mistake(package, f"'{manifest}' is missing. Expected a file with for example: {_EXAMPLE}")
    document = load_yaml(manifest)
    runtime = document.get("runtime") if isinstance(document, dict) else None
    language = runtime.get("name") if isinstance(runtime, dict) else runtime
    if language is None:
        raise _mistake(package, f"'{manifest}' names no runtime. Expected for example: {_EXAMPLE}")
    if language != "python":
        raise _mistake(package, f"'{manifest}' has the runtime '{language}'. Expected 'python'. {CLI_HINT[:-1]}")
    if not (folder / "__main__.py").is_file():
        raise _mistake(package, f"its program '{folder / '__main__.py'}' is missing")
    options = runtime.get("options") if isinstance(runtime, dict) else None
    virtualenv = options.get("virtualenv") if isinstance(options, dict) else None
    return [_interpreter(folder, virtualenv), "-u", str(folder)]


def _interpreter(folder: Path, virtualenv: object) -> str:
    if isinstance(virtualenv, str) and virtualenv:
        # The link itself, not what it points to: Python finds the virtual environment by it.
        python = folder / virtualenv / "bin" / "python"
        if python.is_file():
            return str(python)
    return sys.executable


def _mistake(package: str, what: str) -> EngineError:
    return EngineError(f"The provider '{package}' of Pulumi.yaml: {what}.")
