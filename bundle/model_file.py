"""Find the model file of a version, or say why it is missing or wrongly named."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePosixPath

from bundle.folder_tree import Tree
from bundle.frameworks import FRAMEWORKS, MODEL_FILES, Framework
from bundle.model_config import ModelConfig
from bundle.problems import listed

_USUAL_SUFFIXES = {
    ".onnx": "model.onnx",
    ".pt": "model.pt",
    ".pth": "model.pt",
    ".pt2": "model.pt2",
    ".plan": "model.plan",
    ".engine": "model.plan",
    ".trt": "model.plan",
    ".xml": "model.xml",
    ".graphdef": "model.graphdef",
    ".pb": "model.graphdef",
    ".savedmodel": "model.savedmodel",
    ".py": "model.py",
}


def find_model_file(
    tree: Tree, folder: str, framework: Framework, config: ModelConfig | None
) -> tuple[str | None, str | None]:
    """Find the model file in a version's folder.

    Returns:
        Its path in the bundle and the problem with it; both None where the framework needs no model file.
    """
    configured = config.default_model_filename if config is not None else ""
    file = configured or framework.file
    if not file:
        return None, None
    path = f"{folder}/{file}"
    if path in tree.refused:
        return path, None
    if path in tree.files and "file" in framework.forms:
        return path, None
    if path in tree.folders and "folder" in framework.forms:
        return _inside(tree, path, file, framework)
    if path in tree.files or path in tree.folders:
        form = "a folder" if path in tree.folders else "a file"
        return (
            None,
            f"{path}: is {form}, expected a {framework.forms[0]} as {framework.label} models are; put the model there",
        )
    return None, _missing(tree, folder, file, framework, configured=bool(configured))


def _inside(tree: Tree, path: str, file: str, framework: Framework) -> tuple[str | None, str | None]:
    if framework.file != "model.onnx":
        return path, None
    inner = f"{path}/model.onnx"
    if inner in tree.files or inner in tree.refused:
        return inner, None
    return None, f"{path}: is a folder without model.onnx; expected {inner}; rename the model's file to that"


def _missing(tree: Tree, folder: str, file: str, framework: Framework, *, configured: bool) -> str:
    why = "as default_model_filename says" if configured else f"the file of a {framework.label} model"
    contents = [*tree.files_in(folder), *tree.folders_in(folder)]
    fix = f"put it at {folder}/{file}"
    like = [name for name in contents if PurePosixPath(name).suffix and usual_file(name) == framework.file]
    if like:
        fix = f"rename '{like[0]}' to it" + ("" if configured else ", or set default_model_filename in config.pbtxt")
    return f"{folder}: has no model file; expected '{file}', {why}; found {listed(contents)}; {fix}"


def unrecognised(folder: str, contents: Collection[str], config: str) -> str:
    """Write the line for a version's folder in which Triton recognises no model file, without a named framework."""
    files = ", ".join(MODEL_FILES)
    where = f"in {config}" if config else "in a config.pbtxt"
    for name in sorted(contents):
        usual = usual_file(name)
        if usual:
            label = next(framework.label for framework in FRAMEWORKS if framework.file == usual)
            return (
                f"{folder}: has no model file of a name that Triton recognises; expected one of {files}; found "
                f"{listed(sorted(contents))}; rename '{name}' to '{usual}' if it is {label}'s"
            )
    return (
        f"{folder}: has no model file; expected one of {files}; found {listed(sorted(contents))}; "
        f"put one there, or name the backend {where}"
    )


def usual_file(name: str) -> str | None:
    """Return the name that Triton recognises for a file of this suffix; None where the suffix is no model's."""
    return _USUAL_SUFFIXES.get(PurePosixPath(name).suffix.lower())
