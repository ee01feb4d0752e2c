"""Entry script: says what an image file shows, by the model `densenet_onnx` on Triton.

    curl $scoringUri -H "Authorization: Bearer $key" -H "Content-Type: application/octet-stream" \
        --data-binary @examples/scripts/photographs/tabby.jpg

answers `281 : TABBY`, the likeliest of ImageNet's classes. Azure Machine Learning's script of that name in shape: the
request is the file as it is, Triton puts the labels to the classes.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import tritonhttpclient
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse
from PIL import Image, UnidentifiedImageError

MODEL, INPUT, OUTPUT = "densenet_onnx", "data_0", "fc6_1"
SIDE = 224
MOST_PIXELS = 50_000_000  # a few bytes may claim to be an image that fills the memory

Array = np.ndarray[Any, Any]
client: tritonhttpclient.InferenceServerClient


def init() -> None:
    """Make the client that all requests use; the models are this deployment's own, on localhost."""
    global client
    client = tritonhttpclient.InferenceServerClient("localhost:8000")


@rawhttp
def run(request: AMLRequest) -> AMLResponse:
    """The number and the name of the class that the posted image most likely shows."""
    if request.method != "POST":
        return AMLResponse("expected a POST with an image file as its body", 405)
    try:
        image = Image.open(io.BytesIO(request.get_data()))
        if image.width * image.height > MOST_PIXELS:
            return AMLResponse(f"expected an image of at most {MOST_PIXELS} pixels", 413)
        values = preprocess(image)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        return AMLResponse(f"expected an image file, such as JPEG or PNG: {error}", 400)
    tensor = tritonhttpclient.InferInput(INPUT, list(values.shape), "FP32")
    tensor.set_data_from_numpy(values)
    output = tritonhttpclient.InferRequestedOutput(OUTPUT, class_count=1)
    return AMLResponse(postprocess(client.infer(MODEL, [tensor], outputs=[output]).as_numpy(OUTPUT)), 200)


def preprocess(image: Image.Image) -> Array:
    """The image as the model takes it: [3, 224, 224], colours from -1 to 1 (the scaling called INCEPTION)."""
    resized = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    scaled = np.asarray(resized, dtype=np.float32) / 128 - 1
    return np.transpose(scaled, (2, 0, 1))


def postprocess(classes: Array) -> str:
    """The likeliest class: Triton writes `<score>:<number>:<label>`."""
    _score, number, label = classes[0].decode().split(":", 2)
    return f"{number} : {label}"
