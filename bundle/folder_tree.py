"""Read the files of a bundle's folder, without the files that a bundle leaves out, and find bad links.

A bundle leaves these out, because Triton never reads them and they do not belong in a registry or an image:

- names that start with a dot (`.git`, `.DS_Store`, `.ipynb_checkpoints`, `.env`, editors' swap files), except
  `.gitkeep` and `.keep`, which keep an otherwise empty version folder in existence;
- Python's caches (`__pycache__`, `*.pyc`), backups of editors (`*~`, `#*#`), and `Thumbs.db` and `desktop.ini`.
"""

from __future__ import annotations

import fnmatch
import os
import stat
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

KEPT_DOTFILES = frozenset({".gitkeep", ".keep"})
JUNK_PATTERNS = ("__pycache__", "*.pyc", "*~", "#*#", "Thumbs.db", "desktop.ini")


def is_junk(name: str) -> bool:
    """Tell whether a bundle leaves out a file or folder of this name."""
    if name.startswith("."):
        return name not in KEPT_DOTFILES
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in JUNK_PATTERNS)


@dataclass
class Tree:
    """A folder's content; paths are relative to the folder, with `/`.

    Attributes:
        root: The folder.
        files: The files by path, sorted.
        folders: The paths of the folders.
        left_out: The paths that a bundle leaves out.
        problems: A line for each path that cannot be taken.
        refused: The paths of these problems.
    """

    root: Path
    files: dict[str, Path] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    def refuse(self, path: str, problem: str) -> None:
        """Note a path's problem; the path then counts as present, so that no second problem calls it missing."""
        self.refused.add(path)
        self.problems.append(f"{path or '.'}: {problem}")

    def folders_in(self, folder: str) -> list[str]:
        """List the names of the folders directly in a folder."""
        return sorted(_children(self.folders, folder))

    def files_in(self, folder: str) -> list[str]:
        """List the names of the files directly in a folder."""
        return sorted(_children(self.files, folder))

    def has_files_below(self, folder: str) -> bool:
        """Tell whether a file lies in a folder, at any depth."""
        return any(path.startswith(f"{folder}/") for path in self.files)


def _children(paths: set[str] | dict[str, Path], folder: str) -> set[str]:
    prefix = f"{folder}/" if folder else ""
    return {
        path[len(prefix) :]
        for path in paths
        if path.startswith(prefix) and path != prefix and "/" not in path[len(prefix) :]
    }


def read_tree(root: Path, *, prefix: str = "") -> Tree:
    """Read a folder, and follow links that stay inside it.

    The problems are: links that leave the folder, dangle or loop, names that differ only in case, names that are no
    plain UTF-8 text, and entries that are no regular file or cannot be read.

    Args:
        root: The folder.
        prefix: A folder name to put before every path.
    """
    tree = Tree(root)
    base = root.resolve()
    _walk(tree, base, root, prefix, (base,))
    tree.files = dict(sorted(tree.files.items()))
    return tree


def _walk(tree: Tree, base: Path, folder: Path, path: str, trail: tuple[Path, ...]) -> None:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        tree.refuse(path, f"cannot be read ({error.strerror}); expected a readable folder")
        return
    seen: dict[str, str] = {}
    for entry in entries:
        child = f"{path}/{entry.name}" if path else entry.name
        if is_junk(entry.name):
            tree.left_out.append(child)
            continue
        if not _is_text(entry.name):
            shown = child.encode("unicode_escape").decode("ascii")
            tree.refuse(shown, "the name is no plain UTF-8 text; rename it")
            continue
        key = unicodedata.normalize("NFC", entry.name).casefold()
        if key in seen:
            tree.refuse(
                child, f"clashes with '{seen[key]}' where case does not tell names apart; rename or remove one of them"
            )
        seen.setdefault(key, entry.name)
        _visit(tree, base, Path(entry.path), child, trail)


def _visit(tree: Tree, base: Path, source: Path, path: str, trail: tuple[Path, ...]) -> None:
    real = source
    if source.is_symlink():
        target = source.readlink()
        try:
            real = source.resolve(strict=True)
        except (OSError, RuntimeError):  # RuntimeError: Python before 3.13 raises it for a loop of links
            tree.refuse(
                path, f"a link to '{target}', which does not exist; put the file in its place or remove the link"
            )
            return
        if not real.is_relative_to(base):
            tree.refuse(
                path,
                f"a link to '{target}', which leaves the bundle; expected links that stay in '{base}'; "
                "put a copy of what it points to in its place",
            )
            return
        if real in trail:
            tree.refuse(path, f"a link to '{target}', a folder that contains it; remove the link")
            return
    mode = real.stat().st_mode
    if stat.S_ISDIR(mode):
        tree.folders.add(path)
        _walk(tree, base, source, path, (*trail, real))
    elif not stat.S_ISREG(mode):
        tree.refuse(path, "no regular file; expected files and folders only; remove it")
    elif not os.access(real, os.R_OK):
        tree.refuse(path, "cannot be read (permission denied); expected a readable file")
    else:
        tree.files[path] = source


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return name.isprintable() and "\\" not in name
