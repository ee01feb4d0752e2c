"""A script that runs the model itself: scoring without Triton."""

import json

import numpy as np
import onnxruntime
from shape import FILE, INPUT, OUTPUT, SHAPE


def init():
    global session
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(FILE, options, providers=["CPUExecutionProvider"])


def run(data):
    values = np.asarray(json.loads(data)["data"], dtype=np.float32).reshape(SHAPE)
    (answer,) = session.run([OUTPUT], {INPUT: values})
    return float(answer.ravel()[0])
