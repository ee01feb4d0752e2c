"""Find the version folders of a model, and the versions that Triton's version policy loads.

The rules are those of `VersionsToLoad` in Triton's core (`src/model_repository_manager/model_lifecycle.cc`): a version
folder's name is a number without leading zeros, and by default Triton loads the latest version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bundle.folder_tree import Tree
from bundle.frameworks import MODEL_FILES
from bundle.model_config import ModelConfig
from bundle.problems import listed

HIGHEST = 2**63 - 1
OTHER_FOLDERS = frozenset({"warmup", "initial_state", "configs"})
"""The folders beside the versions that Triton uses otherwise."""

_NUMBER = re.compile(r"[1-9][0-9]*")
_STARTS_AS_NUMBER = re.compile(r"\s*[+-]?[0-9]")


@dataclass(frozen=True)
class VersionFolders:
    """The versions in a model's folder, ascending, and a line for each wrong folder."""

    versions: tuple[int, ...]
    problems: tuple[str, ...]


def find_versions(tree: Tree, folder: str) -> VersionFolders:
    """Find the version folders of a model; `folder` is the path of the model's folder in the bundle."""
    versions: list[int] = []
    problems: list[str] = []
    for name in tree.folders_in(folder):
        if _NUMBER.fullmatch(name) and int(name) <= HIGHEST:
            versions.append(int(name))
        elif name not in OTHER_FOLDERS:
            problems.extend(_wrong_name(tree, f"{folder}/{name}", name))
    if not versions and not problems:
        problems.extend(_no_version(tree, folder))
    return VersionFolders(tuple(sorted(versions)), tuple(problems))


def _wrong_name(tree: Tree, path: str, name: str) -> Iterator[str]:
    digits = name.strip().lstrip("0")
    if name.strip("0") == "":
        yield f"{path}: version 0 is reserved: Triton's versions start at 1; rename it, such as to 1"
    elif name.startswith("0") and digits.isdigit():
        yield f"{path}: Triton ignores a version with leading zeros; rename it to {digits}"
    elif digits.isascii() and digits.isdigit():
        yield f"{path}: the version is above {HIGHEST}, the highest that Triton knows; rename it to a lower number"
    elif _STARTS_AS_NUMBER.match(name):
        yield (
            f"{path}: Triton takes this for a version, by the number it starts with; expected a number from 1 alone; "
            "rename or remove it"
        )
    elif any(f"{path}/{file}" in tree.files or f"{path}/{file}" in tree.folders for file in MODEL_FILES):
        number = "".join(re.findall(r"[1-9][0-9]*", name)[:1]) or "1"
        yield (
            f"{path}: '{name}' is no version; expected a folder named by a number from 1; "
            f"rename it, such as to {number}"
        )


def _no_version(tree: Tree, folder: str) -> Iterator[str]:
    misplaced = [file for file in tree.files_in(folder) if file in MODEL_FILES or file.endswith(".onnx")]
    if misplaced:
        yield (
            f"{folder}: has no version; expected a folder named by a number from 1; "
            f"move {listed(misplaced)} into {folder}/1/"
        )
    else:
        yield (
            f"{folder}: has no version; "
            f"expected a folder named by a number from 1, such as {folder}/1, with the model file "
            "(Git keeps no empty folder: put an empty .gitkeep into it)"
        )


def absent_versions(versions: tuple[int, ...], config: ModelConfig | None) -> tuple[int, ...]:
    """Return the versions that the configuration's policy names and that are missing: Triton loads the others."""
    named = config.version_policy.specific.versions if config is not None else ()
    return tuple(sorted(set(named) - set(versions)))


def loaded_versions(versions: tuple[int, ...], config: ModelConfig | None) -> tuple[int, ...]:
    """Return the versions that Triton loads, ascending: by the configuration's policy, or the latest one."""
    policy = config.version_policy if config is not None else None
    choice = policy.WhichOneof("policy_choice") if policy is not None else None
    if policy is None or choice is None:
        return versions[-1:]
    if choice == "specific":
        return tuple(version for version in versions if version in policy.specific.versions)
    if choice == "latest":
        return versions[-policy.latest.num_versions :] if policy.latest.num_versions else ()
    return versions
