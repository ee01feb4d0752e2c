"""Rules over the entry script: it is there, is Python, and has the functions that the server calls."""

import ast
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from environment.source_folder import read_source
from settings.errors import Mistake
from settings.golden import GoldenError, golden_request
from settings.rules.models import BundleRead
from settings.rules.rule import rule
from settings.schema import Settings

__all__ = ["script_rules"]


@rule
def script_rules(settings: Settings, bundles: Sequence[BundleRead]) -> Iterator[Mistake]:
    """Yield what is wrong with the entry script.

    Args:
        settings: A stack's settings.
        bundles: What `read_bundles` gave for them.
    """
    if settings.entry_script is None:
        if not any(bundle.by_triton for bundle in bundles):
            yield Mistake(
                path="entryScript",
                expected="is required where every model has framework 'Custom': Triton serves none of them",
            )
        return
    source = Path(settings.source_directory).resolve()
    script = source / settings.entry_script
    if not source.is_dir():
        yield Mistake(
            path="sourceDirectory",
            value=repr(settings.source_directory.written),
            expected=f"expected a folder at {source}",
        )
        return
    found = read_source(source)
    for path, problem in found.problems.items():
        shown = str(path).encode(errors="backslashreplace").decode()
        yield Mistake(
            path="sourceDirectory", value=repr(settings.source_directory.written), expected=f"{shown}: {problem}"
        )
    entry = Path(os.path.normpath(settings.entry_script))
    if not script.is_file():
        scripts = ", ".join(sorted(p.name for p in source.glob("*.py"))) or "none"
        expected = f"expected a Python file in {source}; the scripts there: {scripts}"
    elif entry.is_absolute() or entry.parts[0] == "..":
        expected = "expected a file inside sourceDirectory"
    elif entry not in found.files:
        expected = "is left out, as names that start with a dot and what tools make are; rename it"
    else:
        expected = _why_not_served(script)
    if expected:
        yield Mistake(path="entryScript", value=repr(settings.entry_script), expected=expected)
        return
    try:
        golden_request(settings)
    except GoldenError as error:
        yield Mistake(path="entryScript", value=repr(settings.entry_script), expected=str(error))


def _why_not_served(script: Path) -> str:
    """Say why the server could not load a script; an empty text where nothing speaks against it."""
    try:
        body = ast.parse(script.read_bytes(), filename=script.name).body
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        return f"expected Python; {f'line {line}: ' if line else ''}{getattr(error, 'msg', error)}"
    names = {name for statement in body for name in _defined(statement)}
    missing = [name for name in ("init", "run") if name not in names and "*" not in names]
    if not missing:
        return ""
    verb = "are" if missing[1:] else "is"
    return f"expected functions init() and run(data); {' and '.join(missing)} {verb} not in the file"


def _defined(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement of a module may define; `*` where the statement does not tell them."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, (ast.Import, ast.ImportFrom)):
        for alias in statement.names:
            yield alias.asname or alias.name
    else:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node.name
