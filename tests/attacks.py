"""Requests of a client with a key that must not end Triton, whatever it serves: each is refused, and Triton goes on."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MEBIBYTE = 2**20
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Attack:
    """A POST to `/v2/models/<model>/<verb>`, and the statuses that are right answers to it."""

    name: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    verb: str = "infer"
    statuses: tuple[int, ...] = (400,)

    def __str__(self) -> str:
        return self.name


def inference(tensor: str, shape: list[Any], data: Any, **more: Any) -> bytes:
    """An inference request in JSON with one input of 32-bit floats."""
    return json.dumps({"inputs": [{"name": tensor, "shape": shape, "datatype": "FP32", "data": data}], **more}).encode()


def binary(tensor: str, shape: list[int], content: bytes) -> tuple[bytes, dict[str, str]]:
    """The same as a binary tensor, and the header that it takes."""
    described = {"name": tensor, "shape": shape, "datatype": "FP32"}
    head = json.dumps({"inputs": [described | {"parameters": {"binary_data_size": len(content)}}]}).encode()
    return head + content, {"Inference-Header-Content-Length": str(len(head))}


def attacks(tensor: str = "x", columns: int = 13) -> Iterator[Attack]:
    """Those on a model whose input `tensor` has so many columns."""
    row = [1.0] * columns
    for rows in (1_000_000_000, 50_000_000, 2**62, 2**64 - 1, 10**30):
        yield Attack(f"{rows} rows declared", inference(tensor, [rows, columns], row))
    wide = inference(tensor, [10**9, columns], row)
    yield Attack("shape behind an escape", wide.replace(b'"shape"', b'"sh\\u0061pe"'))
    yield Attack("shape with blanks", wide.replace(b'"shape": [', b'"shape"\n :\t[ \r\n '))
    yield Attack("shape among text", inference(tensor, [10**9, columns], ['"[\\"', "\\"] * 7))
    body, headers = binary(tensor, [10**9, columns], b"\0" * 4 * columns)
    yield Attack("binary rows declared", body, headers)
    yield Attack("a head longer than the body", body, {"Inference-Header-Content-Length": "100000"})
    yield Attack("a head of no length", body, {"Inference-Header-Content-Length": "x"})

    yield Attack("200,000 brackets", b"[" * 200_000)
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        nested = opening * 60_000 + "1" + closing * 60_000
        yield Attack(f"data nested in {opening}", inference(tensor, [1, columns], 0).replace(b"0", nested.encode(), 1))
        for verb in ("infer", "generate", "generate_stream"):
            yield Attack(f"{verb} nested in {opening}", f'{{"a": {nested}}}'.encode(), verb=verb)

    bomb = b"[" + b" " * (100 * MEBIBYTE)
    yield Attack("gzip bomb", gzip.compress(bomb, 1), {"Content-Encoding": "gzip"}, statuses=(413,))
    yield Attack("deflate bomb", zlib.compress(bomb, 1), {"Content-Encoding": "deflate"}, statuses=(415,))
    twice = gzip.compress(gzip.compress(bomb, 1), 6)
    yield Attack("gzip in gzip", twice, {"Content-Encoding": "gzip, gzip"}, statuses=(415,))
    yield Attack("no gzip", b"\0\1\2", {"Content-Encoding": "gzip"})

    large = inference(tensor, [1, 1_500_000], [1] * 1_500_000)
    yield Attack("a large form", large, FORM)
    yield Attack("a large form in capitals", large, {"Content-Type": "Application/X-WWW-Form-URLEncoded; charset=x"})
    yield Attack("a form that is none", b"=&%zz" * 100_000, FORM)

    yield Attack("parameters that are a list", inference(tensor, [1, columns], row, parameters=[None]))
    for verb in ("generate", "generate_stream"):
        yield Attack(f"{verb} with parameters that are a list", b'{"parameters": [null, null]}', verb=verb)
        yield Attack(f"{verb} of a list", b"[null, null]", verb=verb)

    for name, malformed in MALFORMED.items():
        yield Attack(name, malformed.replace(b"x", tensor.encode()))


MALFORMED = {
    "words": b"hello",
    "half a request": b'{"inputs": [{"name": "x", "shape": [1',
    "a NUL": b'{"inputs": []}\0',
    "a list": b"[]",
    "no inputs": b"{}",
    "inputs that are no list": b'{"inputs": 3}',
    "a shape that is text": b'{"inputs": [{"name": "x", "shape": "a", "datatype": "FP32", "data": [1]}]}',
    "a shape below zero": b'{"inputs": [{"name": "x", "shape": [-1, 13], "datatype": "FP32", "data": [1]}]}',
    "a shape of fractions": b'{"inputs": [{"name": "x", "shape": [1.0, 13], "datatype": "FP32", "data": [1]}]}',
    "too few values": b'{"inputs": [{"name": "x", "shape": [1, 13], "datatype": "FP32", "data": [1]}]}',
    "values that are text": b'{"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": ["a"]}]}',
    "texts that are none": b'{"inputs": [{"name": "x", "shape": [1, 1], "datatype": "BYTES", "data": [null]}]}',
    "no shape": b'{"inputs": [{"name": "x", "datatype": "FP32", "data": [1]}]}',
    "no type": b'{"inputs": [{"name": "x", "shape": [1, 1], "data": [1]}]}',
    "outputs that are no list": b'{"inputs": [], "outputs": 3}',
}
"""Bodies that Triton itself answers with 500, or with 400."""
