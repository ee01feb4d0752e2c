"""Entry script: answers a question about a text with words of that text, by the model `bidaf-9` on Triton.

    curl $scoringUri -H "Authorization: Bearer $key" -H "Content-Type: application/json" \
        -d '{"query": "What color is the fox", "context": "The quick brown fox jumped over the lazy dog."}'

answers `["brown"]`. Written in Azure Machine Learning's `init()`/`run()` convention.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import tritonhttpclient
from nltk.tokenize import RegexpTokenizer

MODEL = "bidaf-9"
CHARACTERS = 16  # of a word, as many as the model reads
OUTPUTS = ("start_pos", "end_pos")

# Numbers with their separators, words with inner hyphens and apostrophes, and single marks. Unlike `nltk.word_tokenize`
# it needs no download.
tokenizer = RegexpTokenizer(r"\d+(?:[.,:]\d+)*|\w+(?:[-'\u2019]\w+)*|[^\w\s]")

Array = np.ndarray[Any, Any]
client: tritonhttpclient.InferenceServerClient


def init() -> None:
    """Make the client that all requests use; the models are this deployment's own, on localhost."""
    global client
    client = tritonhttpclient.InferenceServerClient("localhost:8000")


def run(raw_data: str) -> list[str]:
    """The words of `context` that answer `query`; ValueError where the request has no such two texts."""
    context, query = parse(raw_data)
    words = tokenizer.tokenize(context)
    inputs = []
    for name, values in encode(words, tokenizer.tokenize(query)).items():
        tensor = tritonhttpclient.InferInput(name, list(values.shape), "BYTES")
        tensor.set_data_from_numpy(values)
        inputs.append(tensor)
    answer = client.infer(MODEL, inputs, outputs=[tritonhttpclient.InferRequestedOutput(name) for name in OUTPUTS])
    start, end = (int(answer.as_numpy(name)[0]) for name in OUTPUTS)
    return list(words[start : end + 1])


def parse(raw_data: str) -> tuple[str, str]:
    """`context` and `query` of a request's JSON."""
    try:
        request = json.loads(raw_data)
    except ValueError:
        request = None
    context, query = (request.get(name) if isinstance(request, dict) else None for name in ("context", "query"))
    if not (isinstance(context, str) and context.strip() and isinstance(query, str) and query.strip()):
        raise ValueError('expected JSON as in {"query": "What color is the fox", "context": "The quick brown fox."}')
    return context, query


def encode(context: list[str], query: list[str]) -> dict[str, Array]:
    """The model's four inputs: words in lower case `[n, 1]` and their first characters `[n, 1, 1, 16]`, as text."""
    inputs: dict[str, Array] = {}
    for name, words in (("context", context), ("query", query)):
        lower = [word.lower() for word in words]
        characters = [[*word[:CHARACTERS], *[""] * (CHARACTERS - len(word))] for word in words]
        inputs[f"{name}_word"] = np.array(lower, dtype=np.object_).reshape(-1, 1)
        inputs[f"{name}_char"] = np.array(characters, dtype=np.object_).reshape(-1, 1, 1, CHARACTERS)
    return inputs
