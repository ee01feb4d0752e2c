"""Answers with its input after a moment of random length."""

import random
import time

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        time.sleep(random.uniform(0.0, 0.002))
        return [
            pb_utils.InferenceResponse([pb_utils.get_input_tensor_by_name(request, "value")]) for request in requests
        ]
