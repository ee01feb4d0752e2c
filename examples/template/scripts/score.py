"""Entry script: asks the model `wine` on Triton.

    {"measurements": [[...]]}

answers with an object of the model's outputs. Each input and output stands under its name, as nested lists.
"""

import json

import numpy as np
import tritonhttpclient

MODEL = "wine"
INPUTS = {  # by name: Triton's type, numpy's, and the shape, in which -1 is any size
    "measurements": ("FP32", np.float32, (-1, 13)),
}
REQUIRED = ["measurements"]
OUTPUTS = ["cultivar"]


def init():
    """Make the client that all requests use; `localhost:8000` is the Triton of this deployment, on every target."""
    global client
    client = tritonhttpclient.InferenceServerClient("localhost:8000")


def run(raw_data):
    """Ask the model; ValueError, which the client gets as 400, where the request is none that the model takes."""
    request = json.loads(raw_data)
    missing = [name for name in REQUIRED if not isinstance(request, dict) or name not in request]
    if missing:
        raise ValueError(f"expected a JSON object with {', '.join(REQUIRED)}; {', '.join(missing)} is missing")
    inputs = [tensor(name, request[name]) for name in INPUTS if name in request]
    outputs = [tritonhttpclient.InferRequestedOutput(name) for name in OUTPUTS]
    answer = client.infer(MODEL, inputs, outputs=outputs)
    return {name: plain(answer.as_numpy(name)) for name in OUTPUTS}


def tensor(name, values):
    """Make the tensor of an input from nested lists."""
    datatype, dtype, shape = INPUTS[name]
    try:
        array = np.array(values, dtype=dtype)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}: expected nested lists of {datatype} in the shape {list(shape)}") from None
    if array.ndim != len(shape) or any(size not in (-1, found) for size, found in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{name}: expected the shape {list(shape)}, -1 for any size; found {list(array.shape)}")
    given = tritonhttpclient.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array)
    return given


def plain(array):
    """Turn an output into nested lists."""
    return array.tolist()
