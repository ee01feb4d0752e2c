"""A synchronous script in front of Triton, as Azure's document has it: one global client."""

import json

import numpy as np
import tritonclient.http as triton
from shape import INPUT, MODEL, OUTPUT, SHAPE, TRITON


def init():
    global client
    client = triton.InferenceServerClient(TRITON)


def run(data):
    tensor = triton.InferInput(INPUT, SHAPE, "FP32")
    tensor.set_data_from_numpy(np.asarray(json.loads(data)["data"], dtype=np.float32).reshape(SHAPE))
    answer = client.infer(MODEL, [tensor], outputs=[triton.InferRequestedOutput(OUTPUT)])
    return float(answer.as_numpy(OUTPUT).ravel()[0])
