"""A client of the deployment's Triton for asynchronous scripts, see `Triton`.

Tensors travel in binary and uncompressed, as compression only costs time on a loopback connection. Each inference
carries the id of the request that it belongs to. This module needs numpy.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson

from serving.errors import ServingError
from serving.script.call import request_id, triton_call
from serving.triton.connection import Connections

TIMEOUT_SECONDS = 60.0
# The keys are numpy's codes of types: numpy takes longer to write a type's full name than all else here takes.
_DATATYPES = {
    "b1": "BOOL",
    **{f"i{bits // 8}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"u{bits // 8}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
    **{f"f{bits // 8}": f"FP{bits}" for bits in (16, 32, 64)},
}
_DTYPES = {datatype: np.dtype(code) for code, datatype in _DATATYPES.items()}


class TritonError(ServingError):
    """Triton's refusal of an inference; `status` is its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Triton:
    """A client for the inference protocol of one Triton.

    One client serves all requests at once. It keeps a pool of connections, and opens each when a request needs it, in
    the loop of the worker that needs it. So a script makes it once, at its top.

    Example:
        A whole entry script::

            import json

            import numpy as np
            from serving.triton import Triton

            triton = Triton()


            async def init(): ...


            async def run(data):
                image = np.asarray(json.loads(data)["image"], dtype=np.float32)
                outputs = await triton.infer("digits", {"image": image})
                return {"label": outputs["label"]}
    """

    def __init__(self, url: str | None = None, *, timeout: float = TIMEOUT_SECONDS) -> None:
        """Prepare; the first inference connects.

        Args:
            url: Triton's address; by default TRITON_HTTP_URL, or http://localhost:8000 where that is not set.
            timeout: how long an answer may take, in seconds.

        Raises:
            ValueError: `url` is no URL of http.
        """
        self._url = url or os.environ.get("TRITON_HTTP_URL") or "http://localhost:8000"
        self._connections = Connections(self._url, timeout)

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Any],
        *,
        outputs: Sequence[str] = (),
        version: str | int = "",
        parameters: Mapping[str, Any] | None = None,
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Ask Triton for one inference.

        Example:
            One output of a certain version, with a parameter for the model::

                found = await triton.infer(
                    "bidaf-9", {"context": words}, outputs=["start_pos"], version=2, parameters={"top": 3}
                )
                position = found["start_pos"].item()

        Args:
            model: the model's name.
            inputs: the input tensors by name: numpy arrays, or values that `numpy.asarray` takes. Strings and bytes
                become a BYTES tensor.
            outputs: the names of the wanted outputs; all by default.
            version: the model's version; by default the version that Triton chooses.
            parameters: the request's parameters, for the model.

        Returns:
            The output tensors by name; a BYTES tensor is an array of bytes.

        Raises:
            TritonError: Triton refuses the inference, or its answer cannot be read.
            ConnectionError: Triton cannot be reached, or closes the connection.
            TimeoutError: Triton does not answer in time.
            ValueError: an array has a type that Triton does not know.
        """
        header: dict[str, Any] = {"parameters": {**(parameters or {}), "binary_data_output": True}}
        if name := request_id():
            header["id"] = name
        if outputs:
            header["outputs"] = [{"name": name} for name in outputs]
        tensors = [_tensor(name, np.asarray(value)) for name, value in inputs.items()]
        header["inputs"] = [description for description, _ in tensors]
        prefix = orjson.dumps(header)
        path = f"/v2/models/{quote(model, safe='')}" + (f"/versions/{version}" if version != "" else "") + "/infer"
        with triton_call(model) as headers:
            answer = await self._connections.post(path, prefix, b"".join([content for _, content in tensors]), headers)
        body = answer.body
        if answer.status != 200:
            raise TritonError(answer.status, _reason(body))
        try:
            return _outputs(body, len(body) if answer.header_bytes is None else answer.header_bytes)
        except (ValueError, KeyError, TypeError, struct.error) as error:
            # A ValueError would blame the client, who does not answer for Triton.
            raise TritonError(answer.status, f"Triton's answer cannot be read: {error}") from error

    def close(self) -> None:
        """Close the connections that no request uses."""
        self._connections.close()


def _tensor(name: str, array: np.ndarray[Any, Any]) -> tuple[dict[str, Any], bytes]:
    """Make the description of an input, for the header, and its content."""
    if array.dtype.kind in "OSU":
        datatype = "BYTES"
        content = b"".join(
            struct.pack("<I", len(item)) + item for item in (_to_bytes(value, name) for value in array.ravel().tolist())
        )
    else:
        datatype = _DATATYPES.get(array.dtype.str[1:], "")
        if not datatype:
            raise ValueError(
                f"Input {name!r}: Triton has no datatype for numpy's {array.dtype}. Convert it with astype()."
            )
        content = array.tobytes() if array.dtype.isnative else array.astype(array.dtype.newbyteorder("=")).tobytes()
    description = {
        "name": name,
        "shape": array.shape,
        "datatype": datatype,
        "parameters": {"binary_data_size": len(content)},
    }
    return description, content


def _to_bytes(value: Any, name: str) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise ValueError(f"Input {name!r}: expected strings or bytes, received {type(value).__name__}.")


def _outputs(body: bytes, header_bytes: int) -> dict[str, np.ndarray[Any, Any]]:
    arrays = {}
    offset = header_bytes
    for output in orjson.loads(memoryview(body)[:header_bytes])["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            array = np.array(output["data"], dtype=_DTYPES.get(output["datatype"], np.object_))
        else:
            content = memoryview(body)[offset : offset + size]
            offset += size
            array = _array(output["datatype"], content)
        arrays[output["name"]] = array.reshape(output["shape"])
    return arrays


def _array(datatype: str, content: memoryview) -> np.ndarray[Any, Any]:
    if datatype != "BYTES":
        return np.frombuffer(content, dtype=_DTYPES[datatype])
    items = []
    position = 0
    while position < len(content):
        (length,) = struct.unpack_from("<I", content, position)
        items.append(bytes(content[position + 4 : position + 4 + length]))
        position += 4 + length
    return np.array(items, dtype=np.object_)


def _reason(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
