"""Read a model in Python, `model.py`, without running it."""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CLASS = "TritonPythonModel"
COMPLETES = "auto_complete_config"
NEWEST = (3, 12)
"""The Python of NVIDIA's image. An older Python knows less syntax, so it cannot tell what this one refuses."""


class PythonModelError(ValueError):
    """Triton's Python backend cannot import a `model.py`; the caller puts the file's name before the message.

    `certain` tells whether the Python that serves the model certainly refuses it too.
    """

    def __init__(self, message: str, *, certain: bool = True) -> None:
        self.certain = certain
        super().__init__(message)


@dataclass(frozen=True)
class PythonModel:
    """The facts about a `model.py`; `completes` tells whether it may complete its configuration at its start."""

    completes: bool


def read_python_model(path: Path, target: str) -> PythonModel:
    """Read a model in Python, for a target.

    Raises:
        PythonModelError: The file has a syntax error, or lacks the class that Triton looks for.
    """
    source = path.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source, path.name)
            compile(source, path.name, "exec", dont_inherit=True)
    except SyntaxError as error:
        place = f"line {error.lineno}" if error.lineno else "the file"
        text = f" in '{error.text.strip()}'" if error.text else ""
        raise PythonModelError(
            f"does not compile: {place}: {error.msg}{text}; mend it",
            certain=target == "process" or sys.version_info[:2] >= NEWEST,
        ) from None
    except ValueError as error:  # null bytes, before Python 3.12
        raise PythonModelError(f"does not compile: {error}; mend it") from None
    names = set(_bound(tree))
    if CLASS not in names and "*" not in names:
        raise PythonModelError(f"has no class {CLASS}, which Triton's Python backend looks for; add it")
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == CLASS]
    return PythonModel(completes=COMPLETES in names or not classes or any(node.bases for node in classes))


def _bound(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module, or a class or function in it, may bind; `*` for an import of all names."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Constant) and node.value in (CLASS, COMPLETES):  # setattr, globals()["..."]
            yield str(node.value)
