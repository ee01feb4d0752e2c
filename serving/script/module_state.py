"""Tells from a script's text whether run() keeps state in variables of the script's module.

It finds assignments to such a variable, to its items and to its attributes, in classes and in all functions that run()
may call. It does not look into functions that init() alone calls, into other modules, or at what a method does to its
object.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_kept_by(path: Path) -> bool:
    """Tell whether run() changes variables of the script's module, where another run() would find the change."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (OSError, SyntaxError, ValueError):
        return False
    statements = [node for node in tree.body if not isinstance(node, (*_FUNCTIONS, ast.ClassDef))]
    variables = _declared(tree).union(*map(_assigned, statements))
    return any(_changes(variables, node) for part in _used_by_run(tree) for node in ast.walk(part))


def _used_by_run(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the classes, run(), the functions that these mention, and so on."""
    functions = {node.name: node for node in tree.body if isinstance(node, _FUNCTIONS)}
    waiting: list[ast.AST] = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    if "run" in functions:
        waiting.append(functions.pop("run"))
    while waiting:
        part = waiting.pop()
        yield part
        names = {node.id for node in ast.walk(part) if isinstance(node, ast.Name)}
        waiting += [functions.pop(name) for name in names & functions.keys()]


def _changes(variables: set[str], function: ast.AST) -> bool:
    """Tell whether this is a function that changes one of the variables."""
    if not isinstance(function, _FUNCTIONS):
        return False
    declared, assigned = _declared(function), _assigned(function)
    own = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)} | assigned - declared
    changed = {_root(node) for node in ast.walk(function) if isinstance(node, (ast.Attribute, ast.Subscript))}
    return bool(declared & assigned or changed & variables - own)


def _declared(part: ast.AST) -> set[str]:
    """Collect the names of its `global` statements."""
    return {name for node in ast.walk(part) if isinstance(node, ast.Global) for name in node.names}


def _assigned(part: ast.AST) -> set[str]:
    """Collect the names that it assigns to, or deletes."""
    return {node.id for node in ast.walk(part) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}


def _root(place: ast.Attribute | ast.Subscript) -> str:
    """Find the variable at the start of an attribute or item that is assigned to; an empty text where it is read."""
    if isinstance(place.ctx, ast.Load):
        return ""
    value: ast.expr = place
    while isinstance(value, (ast.Attribute, ast.Subscript)):
        value = value.value
    return value.id if isinstance(value, ast.Name) else ""
