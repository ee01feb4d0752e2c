"""Check the layout of a bundle: would Triton on a target serve the models in a folder?

Triton's layout is `triton/<model>/<version>/<model file>`, with an optional `triton/<model>/config.pbtxt`.
`folder_tree` says which files a bundle leaves out. The rules are Triton's own; each module names their source.
"""

from __future__ import annotations

from pathlib import Path

from bundle.bundle_types import Bundle, BundleFile
from bundle.ensemble import circle_problems, ensemble_problems
from bundle.folder_tree import Tree, is_junk, read_tree
from bundle.frameworks import ENSEMBLE, TARGETS
from bundle.model_config import CONFIG_FILE
from bundle.model_folder import ModelFolder, check_model
from bundle.problems import LayoutError, listed
from bundle.runtimes import Runtime

LAYOUT = "triton/<model>/<version>/<model file>"
ANY_TARGET = "docker"
"""The target whose check lets through what any target serves: its image may have every backend."""


def check_layout(path: Path, *, target: str, runtime: Runtime | None = None) -> Bundle:
    """Check a bundle for Triton.

    Args:
        path: The folder that contains `triton`, or that folder itself.
        target: The target that will serve it: `process`, `docker` or `node-pool`.
        runtime: The target's Triton, as far as it is known. Models that are too new for it are refused.

    Raises:
        LayoutError: Triton, or the target's Triton, would refuse a model; all problems at once.
        ValueError: The target is unknown.

    Example:
        bundle = check_layout(Path("model_repository"), target="process")
        [model.name for model in bundle.models]    # ['bidaf-9', 'digits', 'wine']
    """
    if target not in TARGETS:
        raise ValueError(f"target '{target}' is unknown; expected one of {listed(TARGETS)}")
    _require_folder(path)
    notes: list[str] = []
    if (path / "triton").is_dir():
        tree = read_tree(path)
    elif path.resolve().name == "triton":
        notes.append(
            f"{path}: is the folder 'triton' itself, taken as the bundle; the path of a bundle is that of its parent"
        )
        tree = read_tree(path, prefix="triton")
    else:
        raise LayoutError([_no_triton(path)])
    names = tree.folders_in("triton")
    checked = [check_model(tree, name, target, runtime) for name in names]
    problems = [*tree.problems, *(problem for found in checked for problem in found.problems), *_across(checked)]
    if not names and "triton" not in tree.refused:
        problems.append(f"triton: has no models; expected {LAYOUT}; add a model's folder")
    if problems:
        raise LayoutError(dict.fromkeys(problems))
    for found in checked:
        notes.extend(found.notes)
    notes.extend(_left_out(tree))
    models = tuple(found.model for found in checked if found.model is not None)
    return Bundle(path, models, _files(tree, checked), tuple(notes))


def check_bundle(path: Path, *, framework: str, target: str, runtime: Runtime | None = None) -> Bundle:
    """Check a bundle by its framework: `Multi` by Triton's layout, `Custom` as files that an entry script loads.

    Raises:
        LayoutError: Its check refuses it.
    """
    return check_files(path) if framework == "Custom" else check_layout(path, target=target, runtime=runtime)


def check_files(path: Path) -> Bundle:
    """Check any file or folder as the bundle of a service that scores without Triton.

    A folder keeps its name in the bundle, as in Azure's model registry: the script finds `model.pkl` of the folder
    `outputs` at `<AZUREML_MODEL_DIR>/outputs/model.pkl`.

    Raises:
        LayoutError: The path is missing or empty, or has links that leave it, dangle or loop.
    """
    if path.is_file():
        return Bundle(path, (), (BundleFile(path, path.name),))
    _require_folder(path)
    tree = read_tree(path, prefix=path.resolve().name)
    problems = list(tree.problems)
    if not tree.files and not problems:
        problems.append(f"{path}: has no files; expected at least one")
    if problems:
        raise LayoutError(problems)
    return Bundle(path, (), _files(tree, []), tuple(_left_out(tree)))


def _require_folder(path: Path) -> None:
    if not path.exists():
        raise LayoutError([f"{path}: does not exist; expected a model's folder; correct the path"])
    if not path.is_dir():
        raise LayoutError([f"{path}: is a file; expected the folder that contains 'triton'"])


def _no_triton(path: Path) -> str:
    expected = f"{path}: has no folder 'triton'; expected {LAYOUT}"
    folders = sorted(child for child in path.iterdir() if child.is_dir() and not is_junk(child.name))
    for child in folders:
        if child.name.lower() == "triton":
            return f"{expected}; rename '{child.name}' to 'triton'"
        if (child / "triton").is_dir():
            return f"{expected}; found it in '{child.name}': use the path {child}"
    if any(child.name.isdigit() for child in folders):
        return (
            f"{expected}; this is a model's folder: "
            "put it into a folder 'triton', and use the path of that one's parent"
        )
    models = [child.name for child in folders if looks_like_model(child)]
    if models:
        return f"{expected}; found models directly in it ({listed(models)}): move them into {path / 'triton'}"
    return (
        f"{expected}; found {listed(child.name for child in folders)}; "
        "make it, or use the path of the folder that has it"
    )


def looks_like_model(folder: Path) -> bool:
    """Tell whether a folder looks like a model's: it has a configuration or a version."""
    return (folder / CONFIG_FILE).is_file() or any(child.name.isdigit() for child in folder.iterdir() if child.is_dir())


def _across(checked: list[ModelFolder]) -> list[str]:
    models = {found.name: found.model for found in checked if found.model is not None}
    broken = [found.name for found in checked if found.model is None]
    configs = {found.name: found.config for found in checked if found.config is not None}
    decoupled = [name for name, config in configs.items() if config.model_transaction_policy.decoupled]
    problems: list[str] = []
    for found in checked:
        if found.config is not None and found.config.platform == ENSEMBLE:
            problems.extend(ensemble_problems(found.config, found.config_path, found.name, models, broken, decoupled))
    problems.extend(circle_problems({found.name: found.config_path for found in checked}, configs))
    return problems


def _left_out(tree: Tree) -> list[str]:
    return [f"left out, as hidden or made by tools: {listed(tree.left_out)}"] if tree.left_out else []


def _files(tree: Tree, checked: list[ModelFolder]) -> tuple[BundleFile, ...]:
    moved = {place: target for found in checked for place, target in found.moved.items()}
    rewritten = {path: content for found in checked for path, content in found.rewritten.items()}
    files = [
        BundleFile(source, target, rewritten.get(path))
        for path, source in tree.files.items()
        if (target := moved.get(path, path)) is not None
    ]
    files.extend(file for found in checked for file in found.added)
    return tuple(sorted(files, key=lambda file: file.path))
