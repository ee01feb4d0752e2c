"""State that a script keeps in its module's variables while run() is at work, told from the script's text.

Found are assignments to a module's variable, to its items and to its attributes, in all that run() may call, and in
classes; not what init() alone calls, not another module, and not what a method does to its object.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_kept_by(path: Path) -> bool:
    """Whether what run() does changes variables of the script's module, where another run() would find them."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (OSError, SyntaxError, ValueError):
        return False
    statements = [node for node in tree.body if not isinstance(node, (*_FUNCTIONS, ast.ClassDef))]
    variables = _declared(tree).union(*map(_assigned, statements))
    return any(_changes(variables, node) for part in _used_by_run(tree) for node in ast.walk(part))


def _used_by_run(tree: ast.Module) -> Iterator[ast.AST]:
    """The classes, and the functions that run() and they mention, and so on."""
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
    """Whether it is a function that changes one of the variables."""
    if not isinstance(function, _FUNCTIONS):
        return False
    declared, assigned = _declared(function), _assigned(function)
    own = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)} | assigned - declared
    changed = {_root(node) for node in ast.walk(function) if isinstance(node, (ast.Attribute, ast.Subscript))}
    return bool(declared & assigned or changed & variables - own)


def _declared(part: ast.AST) -> set[str]:
    """The names of its `global` statements."""
    return {name for node in ast.walk(part) if isinstance(node, ast.Global) for name in node.names}


def _assigned(part: ast.AST) -> set[str]:
    """The names that it assigns to, or deletes."""
    return {node.id for node in ast.walk(part) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}


def _root(place: ast.Attribute | ast.Subscript) -> str:
    """The variable at the start of an attribute or item that is assigned to; none where it is only read."""
    if isinstance(place.ctx, ast.Load):
        return ""
    value: ast.expr = place
    while isinstance(value, (ast.Attribute, ast.Subscript)):
        value = value.value
    return value.id if isinstance(value, ast.Name) else ""
