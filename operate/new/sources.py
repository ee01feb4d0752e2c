"""Recognise a model by its path: a bundle, a folder of models, a model's folder, or a file of one framework."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bundle.folder_tree import is_junk
from bundle.frameworks import MODEL_FILES
from bundle.layout import check_layout, looks_like_model
from bundle.model_config import CONFIG_FILE
from bundle.model_file import usual_file
from bundle.onnx_graph import GraphError, external_files
from bundle.problems import listed
from bundle.python_model import PythonModelError, read_python_model
from bundle.shell_names import plain
from operate.new.errors import NewStackError

__all__ = ["PICKLES", "Found", "find"]

PICKLES = (".joblib", ".pickle", ".pkl", ".sav")
SAVED_MODEL = "saved_model.pb"
_TAKEN = (
    "a bundle (a folder with 'triton' in it), a folder of models, a model's folder, or a file: ONNX, TorchScript, "
    f"model.py, a pickle ({', '.join(PICKLES)})"
)
_EXPORT = "export it to ONNX: docs/your-model.md"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A model as `make new` takes it.

    Attributes:
        kind: What it is, for people.
        in_place: The bundle that is used where it lies; None where its files are copied.
        files: The files and folders to copy, by their paths in the new bundle's folder.
        pickle: The name of the pickle that an entry script loads; "" where Triton serves.
    """

    kind: str
    in_place: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    pickle: str = ""


def find(path: Path, name: str, target: str) -> Found:
    """Recognise the model at a path.

    Args:
        path: The file or folder.
        name: The new stack's name, which a model without a name of its own gets.
        target: The target that will serve it.

    Raises:
        NewStackError: There is nothing at the path, or nothing that can be recognised.
        LayoutError: The folder is none of a model; the text says how it would become one.
    """
    if not path.exists():
        raise NewStackError(f"MODEL={path}: does not exist; expected {_TAKEN}; correct the path")
    return _folder(path, name, target) if path.is_dir() else _file(path, name, target)


def _folder(path: Path, name: str, target: str) -> Found:
    named = path.resolve().name
    if (path / "triton").is_dir() or named == "triton":
        return Found(kind="a bundle", in_place=path)
    if usual_file(named):  # model.savedmodel, or model.onnx with its weights beside it
        return Found(kind=f"the folder of a {usual_file(named)}", files=_version(path, name, str(usual_file(named))))
    inside = sorted(child for child in path.iterdir() if not is_junk(child.name))
    if (path / SAVED_MODEL).is_file():
        return Found(kind="a TensorFlow SavedModel", files=_version(path, name, "model.savedmodel"))
    if any(child.name in MODEL_FILES for child in inside):
        return Found(kind="a version's files", files=_version_folder(path, name))
    if looks_like_model(path):
        return Found(kind="a model's folder", files={f"triton/{plain(named)}": path})
    if models := [child for child in inside if child.is_dir() and looks_like_model(child)]:
        return Found(kind="a folder of models", files={f"triton/{child.name}": child for child in models})
    files = [child for child in inside if child.is_file() and _is_model(child)]
    if len(files) == 1:
        return _file(files[0], name, target)
    if files:
        each = listed(file.name for file in files)
        raise NewStackError(f"MODEL={path}: has several models: {each}; expected one; name it: MODEL={files[0]}")
    check_layout(path, target=target)  # says what the folder lacks
    raise AssertionError(path)


def _is_model(file: Path) -> bool:
    return file.suffix.lower() in PICKLES or (usual_file(file.name) is not None and file.suffix != ".py")


def _file(path: Path, name: str, target: str) -> Found:
    if path.suffix.lower() in PICKLES:
        return Found(kind="a pickle", files={path.name: path}, pickle=path.name)
    file = usual_file(path.name)
    if file is None:
        raise NewStackError(f"MODEL={path}: no target serves such a file; expected {_TAKEN}; {_EXPORT}")
    if path.stat().st_size == 0:
        raise NewStackError(f"MODEL={path}: is empty; expected a model; export or copy it again")
    if file == "model.pt":
        _require_torch_script(path)
    elif file == "model.py":
        _require_python_model(path, target)
    files = _version(path, name, file)
    version = f"{next(iter(files)).rpartition('/')[0]}"
    if file == "model.onnx":
        try:
            files |= {f"{version}/{weights}": path.parent / weights for weights in external_files(path)}
        except GraphError as error:
            raise NewStackError(f"MODEL={path}: {error}") from None
    elif file == "model.xml" and (weights := path.with_suffix(".bin")).is_file():
        files[f"{version}/model.bin"] = weights
    if (path.parent / CONFIG_FILE).is_file():
        files[f"{version.rpartition('/')[0]}/{CONFIG_FILE}"] = path.parent / CONFIG_FILE
    return Found(kind="a model file", files=files)


def _version(path: Path, name: str, file: str) -> dict[str, Path]:
    """Place a model file, or the folder that is one, as the only version of its model."""
    stem = path.resolve().stem
    return {f"triton/{plain(name if stem in ('model', 'saved_model') else stem)}/1/{file}": path}


def _version_folder(path: Path, name: str) -> dict[str, Path]:
    """Place the files of a folder as a version; the model's name is that of the folder around a numbered one."""
    folder = path.resolve()
    number, model = (folder.name, folder.parent) if re.fullmatch("[1-9][0-9]*", folder.name) else ("1", folder)
    place = f"triton/{plain(model.name) or name}"
    beside = model / CONFIG_FILE
    return {f"{place}/{number}": path} | (
        {f"{place}/{CONFIG_FILE}": beside} if model != folder and beside.is_file() else {}
    )


def _require_torch_script(path: Path) -> None:
    names = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
    if not any(name.endswith("/constants.pkl") for name in names):
        raise NewStackError(
            f"MODEL={path}: holds weights or a pickled module, which no target serves; expected TorchScript "
            "(torch.jit.save) or ONNX; export it: docs/your-model.md#2-pytorch"
        )


def _require_python_model(path: Path, target: str) -> None:
    try:
        read_python_model(path, target)
    except PythonModelError as error:
        raise NewStackError(f"MODEL={path}: {error}; docs/your-model.md#4-a-python-model shows one") from None
