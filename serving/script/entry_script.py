"""The entry script: finds, imports and examines it, so that the server knows how to call it."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

from serving.errors import ServingError
from serving.script import module_state
from serving.settings import Settings

MODULE_NAME = "entry_module"


class ScriptError(ServingError):
    """A script that the server cannot serve."""


class InputKind(Enum):
    """The kind of argument that `run()` gets."""

    TEXT = "the body as a string"
    OBJECT = "the values of a JSON object, one for each parameter"
    RAW = "the HTTP request"


@dataclass(frozen=True)
class Script:
    """An imported entry script."""

    path: str
    init: Callable[[], Any]
    run: Callable[..., Any]
    kind: InputKind
    parameters: tuple[inspect.Parameter, ...]
    wants_headers: bool
    is_async: bool
    keeps_state: bool  # in its module's variables, where another run() would find it


def locate(settings: Settings) -> Path:
    """Give the path of the script's file: AZUREML_ENTRY_SCRIPT in AML_APP_ROOT."""
    return settings.app_root / settings.entry_script


def is_async_source(path: Path) -> bool:
    """Tell from a script's text whether it defines `async def run`: its import needs another kind of worker then."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (OSError, SyntaxError, ValueError):
        return False  # the import says what is wrong
    return any(isinstance(node, ast.AsyncFunctionDef) and node.name == "run" for node in tree.body)


def load(settings: Settings) -> Script:
    """Import the script.

    Raises:
        ScriptError: there is no such file, or no usable init() or run() in it.
        BaseException: the script's own, from its import.
    """
    path = locate(settings)
    sys.path.extend(folder for folder in folders(settings) if folder not in sys.path)
    module = _import(path)
    for name in ("init", "run"):
        if not callable(getattr(module, name, None)):
            raise ScriptError(
                f"{path} has no function {name}(). Define it: the server calls init() once, run() per request."
            )
    # A script that Azure's SDK generated calls the user's own script, whose run() takes the arguments.
    driven = getattr(module, "driver_module", None)
    if isinstance(driven, ModuleType) and hasattr(driven, "run"):
        return _analyse(path, module.init, driven.run, Path(driven.__file__ or path))
    return _analyse(path, module.init, module.run, path)


def folders(settings: Settings) -> list[str]:
    """List the folders of the script's own modules."""
    found = (settings.app_root, settings.source_directory, locate(settings).parent)
    return [str(folder) for folder in found if folder is not None]


def _import(path: Path) -> ModuleType:
    if not path.is_file():
        raise ScriptError(
            f"The entry script {path} does not exist. Set AZUREML_ENTRY_SCRIPT, relative to AML_APP_ROOT."
        )
    spec = importlib.util.spec_from_file_location(MODULE_NAME, path)
    if spec is None or spec.loader is None:
        raise ScriptError(f"The entry script {path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE_NAME] = module
    spec.loader.exec_module(module)
    return module


def _analyse(path: Path, init: Callable[[], Any], run: Callable[..., Any], source: Path) -> Script:
    parameters = list(inspect.signature(run).parameters.values())
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(parameter.kind not in named for parameter in parameters):
        raise ScriptError(f"{path}: run() cannot accept positional-only arguments, *args, or **kwargs.")
    data = tuple(parameter for parameter in parameters if parameter.name != "request_headers")
    if not data:
        raise ScriptError(f"{path}: run() needs to accept an argument for input data, as in run(data).")
    raw, schema = _is_raw(), _has_schema(run)
    if raw and schema:
        raise ScriptError(f"{path}: run() cannot be decorated with both @rawhttp and @input_schema.")
    return Script(
        path=str(path),
        init=init,
        run=run,
        kind=InputKind.RAW if raw else InputKind.OBJECT if schema else InputKind.TEXT,
        parameters=data,
        wants_headers=len(data) < len(parameters),
        is_async=inspect.iscoroutinefunction(run),
        keeps_state=module_state.is_kept_by(source),
    )


def _is_raw() -> bool:
    """Tell whether the script uses @rawhttp; without its import it cannot."""
    rawhttp = sys.modules.get("serving.azure.rawhttp")
    return bool(rawhttp is not None and rawhttp.requested)


def _has_schema(run: Callable[..., Any]) -> bool:
    """Tell whether inference-schema decorates run(); without its import it cannot."""
    if "inference_schema" not in sys.modules:
        return False
    return bool(importlib.import_module("inference_schema.schema_util").is_schema_decorated(run))
