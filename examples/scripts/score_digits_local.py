"""Entry script: says which digit a scan of 8 x 8 pixels shows, without Triton: each worker runs the model itself.

For a service that only scores: the bundle holds `model.onnx` at any depth, the environment has `onnxruntime`. Request
and answer are those of `score_digits.py`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime

SIDE = 8
session: onnxruntime.InferenceSession


def init() -> None:
    """Load the model of the service from the folder that Azure's convention names."""
    global session
    folder = Path(os.environ["AZUREML_MODEL_DIR"])
    file = next(folder.rglob("model.onnx"), None)
    if file is None:
        raise FileNotFoundError(f"{folder} has no model.onnx; register a folder that does")
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def run(raw_data: str) -> dict[str, int]:
    """The digit of a scan; ValueError where the request has no scan of 8 x 8 pixels."""
    image = read(raw_data)
    (label,) = session.run(["label"], {"image": image[None]})
    return {"digit": int(label[0, 0])}


def read(raw_data: str) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """The scan `[8, 8]` of a request's JSON."""
    try:
        image = np.array(json.loads(raw_data)["image"], dtype=np.float32)
    except (KeyError, TypeError, ValueError):
        image = np.empty(0, dtype=np.float32)
    if image.shape != (SIDE, SIDE):
        raise ValueError(f'expected JSON as in {{"image": [[0, 16, ...], ...]}}, with {SIDE} rows of {SIDE} numbers')
    return image
