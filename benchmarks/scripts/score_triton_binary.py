"""The same for a request that is the tensor's bytes."""

import numpy as np
import tritonclient.http as triton
from azureml.contrib.services.aml_request import rawhttp
from azureml.contrib.services.aml_response import AMLResponse
from shape import INPUT, MODEL, OUTPUT, SHAPE, TRITON


def init():
    global client
    client = triton.InferenceServerClient(TRITON)


@rawhttp
def run(request):
    tensor = triton.InferInput(INPUT, SHAPE, "FP32")
    tensor.set_data_from_numpy(np.frombuffer(request.get_data(), dtype=np.float32).reshape(SHAPE))
    answer = client.infer(MODEL, [tensor], outputs=[triton.InferRequestedOutput(OUTPUT)])
    return AMLResponse(answer.as_numpy(OUTPUT).tobytes(), 200)
