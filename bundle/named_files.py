"""Check the files that a configuration names: labels, data for warm-ups and states, a Python environment."""

from __future__ import annotations

import math
import posixpath
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bundle.folder_tree import Tree
from bundle.model_config import ModelConfig, datatype_of
from bundle.shell_names import EXECUTION_ENVIRONMENT, MODEL_DIRECTORY, execution_environment

_BYTES = {
    "BOOL": 1, "INT8": 1, "UINT8": 1, "INT16": 2, "UINT16": 2, "FP16": 2, "BF16": 2, "INT32": 4, "UINT32": 4, "FP32": 4,
    "INT64": 8, "UINT64": 8, "FP64": 8,
}  # fmt: skip


def named_file_problems(tree: Tree, folder: str, config: ModelConfig, shown: str) -> Iterator[str]:
    """Yield a line for each file of labels, of a warm-up or of an initial state that is missing or too short."""
    references = [(f"output '{t.name}' names the labels file", "", t.label_filename) for t in config.output]
    for warmup in config.model_warmup:
        references += [
            (f"model_warmup '{warmup.name}' names the file", "warmup/", t.input_data_file)
            for t in warmup.inputs.values()
        ]
        yield from _warmup_problems(tree, folder, warmup, shown)
    for state in config.sequence_batching.state:
        references += [
            (f"state '{state.input_name}' names the file", "initial_state/", s.data_file) for s in state.initial_state
        ]
    for subject, place, file in references:
        path = f"{folder}/{place}{file}"
        if file and path not in tree.files and path not in tree.refused:
            yield f"{shown}: {subject} '{file}', which is missing; expected it at {path}; {_fix(tree, folder, file)}"


def _warmup_problems(tree: Tree, folder: str, warmup: Any, shown: str) -> Iterator[str]:
    """Yield a line for each file that is too short for its input; Triton ignores more numbers than it needs."""
    for name, given in sorted(warmup.inputs.items()):
        path = f"{folder}/warmup/{given.input_data_file}"
        if not warmup.batch_size or path not in tree.files or any(size < 0 for size in given.dims):
            continue
        datatype, elements = datatype_of(given.data_type), math.prod(given.dims)
        subject = f"{shown}: model_warmup '{warmup.name}' gives '{name}' dims {list(given.dims)}"
        if datatype == "BYTES":
            if _strings(tree.files[path]) != elements:
                yield (
                    f"{subject}, and {path} does not hold that many strings ({elements}); expected of each its length "
                    "in bytes, as 4 bytes (little-endian), and then its bytes; write it anew"
                )
        elif datatype in _BYTES:
            expected, size = elements * _BYTES[datatype], tree.files[path].stat().st_size
            if size < expected:
                yield (
                    f"{subject}, and {path} has {size} bytes; expected {expected}: plain numbers one after "
                    "the other, as numpy's tofile() writes them; write it anew"
                )


def _strings(file: Path) -> int | None:
    """Count the strings in a file of Triton's format; None where the file has another format."""
    data, position, count = file.read_bytes(), 0, 0
    while position + 4 <= len(data):
        position += 4 + struct.unpack_from("<I", data, position)[0]
        count += 1
    return count if position == len(data) else None


def environment_problems(tree: Tree, folder: str, config: ModelConfig, shown: str, target: str) -> Iterator[str]:
    """Yield a line where Triton cannot find the Python environment that a model in Python brings."""
    place = execution_environment(config)
    subject = f"{shown}: parameter {EXECUTION_ENVIRONMENT} names '{place}'"
    if place.startswith(MODEL_DIRECTORY):
        path = posixpath.normpath(f"{folder}/{place.removeprefix(MODEL_DIRECTORY)}")
        if path not in tree.files and path not in tree.folders and path not in tree.refused:
            fix = _fix(tree, folder, posixpath.basename(path))
            yield f"{subject}, which is missing; expected it at {path}; {fix}"
    elif place.startswith("/"):
        if target == "process" and not Path(place).exists():
            yield f"{subject}, which is not on this machine; correct it, or put the file into {folder}"
    elif place:
        yield (
            f"{subject}, which Triton looks for where it is started, not in the model's folder; expected an absolute "
            f"path, or '{MODEL_DIRECTORY}/{place}'; change it"
        )


def _fix(tree: Tree, folder: str, file: str) -> str:
    beside = (other for other in tree.files if other.startswith(f"{folder}/") and other.endswith(f"/{file}"))
    elsewhere = next(beside, None)
    return f"move {elsewhere} there" if elsewhere else "add it or correct the name"
