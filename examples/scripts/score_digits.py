"""Entry script: says which digit a scan of 8 x 8 pixels shows, by the model `digits` on Triton.

    {"image": [[0, 0, 7, 16, ...], ...]}    8 rows of 8 pixels, from 0 (paper) to 16 (ink)

answers `{"digit": 2}`. One scan for each request: Triton runs requests that come at once as one batch.
"""

from __future__ import annotations

import json

import numpy as np
import tritonhttpclient

SIDE = 8
client: tritonhttpclient.InferenceServerClient


def init() -> None:
    """Make the client that all requests use; the models are this deployment's own, on localhost."""
    global client
    client = tritonhttpclient.InferenceServerClient("localhost:8000")


def run(raw_data: str) -> dict[str, int]:
    """The digit of a scan; ValueError where the request has no scan of 8 x 8 pixels."""
    image = read(raw_data)
    scan = tritonhttpclient.InferInput("image", [1, SIDE, SIDE], "FP32")
    scan.set_data_from_numpy(image[None])
    answer = client.infer("digits", [scan], outputs=[tritonhttpclient.InferRequestedOutput("label")])
    return {"digit": int(answer.as_numpy("label")[0, 0])}


def read(raw_data: str) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """The scan `[8, 8]` of a request's JSON."""
    try:
        image = np.array(json.loads(raw_data)["image"], dtype=np.float32)
    except (KeyError, TypeError, ValueError):
        image = np.empty(0, dtype=np.float32)
    if image.shape != (SIDE, SIDE):
        raise ValueError(f'expected JSON as in {{"image": [[0, 16, ...], ...]}}, with {SIDE} rows of {SIDE} numbers')
    return image
