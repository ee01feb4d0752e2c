"""An asynchronous script in front of Triton, with the helper of this project's server."""

import json

import numpy as np
from shape import INPUT, MODEL, OUTPUT, SHAPE

from serving.triton.client import Triton


def init():
    global client
    client = Triton()


async def run(data):
    values = np.asarray(json.loads(data)["data"], dtype=np.float32).reshape(SHAPE)
    answer = await client.infer(MODEL, {INPUT: values}, outputs=[OUTPUT])
    return float(answer[OUTPUT].ravel()[0])
