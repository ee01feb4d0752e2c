"""The arguments that `run()` gets from a request, by the rules of Azure's server."""

from __future__ import annotations

import codecs
import inspect
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import orjson

from serving.errors import RequestError
from serving.http.http1 import Request
from serving.script.entry_script import InputKind, Script

_AS_IT_STANDS = "serving.as-it-stands"  # the error handler for bytes that are no UTF-8
TOO_DEEP = "The JSON is nested too deeply."

# Python allows 1,000 nested calls, and each level of nesting may take several.
_SAFE_DEPTH = 200
_SEARCHED_BYTES = 1 << 20
_NESTING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)

Arguments = dict[str, Any]


class InputError(RequestError):
    """A body or a query that does not fit run()."""


def reader(script: Script) -> Callable[[Request], Arguments]:
    """Choose the function that turns a request into the script's arguments.

    Args:
        script: the script, whose `kind` decides.

    Returns:
        The function; it raises :class:`InputError` for a request that does not fit.
    """
    name = script.parameters[0].name
    if script.kind is InputKind.RAW:
        from serving.azure.rawhttp import AMLRequest

        return lambda request: {name: AMLRequest.of(request)}
    if script.kind is InputKind.OBJECT:
        return lambda request: _object_arguments(request, script.parameters)
    return lambda request: {name: _text(request)}


def is_too_deep(request: Request) -> bool:
    """Tell whether the body nests JSON deeper than Python's functions can follow; then the client is to blame."""
    depth = 0
    for found in _NESTING.finditer(request.body, 0, _SEARCHED_BYTES):
        start = found[0][:1]
        depth += start in b"[{"
        depth -= start in b"]}"
        if depth > _SAFE_DEPTH:
            return True
    return False


def query_values(query: str) -> dict[str, Any]:
    """Read the parameters of a URL, each as JSON where it is JSON; a repeated parameter becomes a list.

    `a=1&b=[1,2]&c=a&d=null` is `{"a": 1, "b": [1, 2], "c": "a", "d": None}`.

    Args:
        query: the text behind the question mark.

    Raises:
        InputError: a parameter nests JSON too deeply.
    """
    values: dict[str, list[Any]] = {}
    for name, text in parse_qsl(query, keep_blank_values=True, errors=_AS_IT_STANDS):
        values.setdefault(name, []).append(_json_or_text(text))
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Keep bytes of a query that are no UTF-8 as the query has them."""
    assert isinstance(error, UnicodeDecodeError)
    return "".join(f"%{byte:02X}" for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_AS_IT_STANDS, _escaped)


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
    except RecursionError:
        raise InputError(400, TOO_DEEP) from None


def _refuse_encoded(request: Request) -> None:
    """Refuse a compressed body: a few bytes could become any number. A run() with @rawhttp gets it as it comes."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise InputError(415, f"Content-Encoding {encoding!r} is not supported: send the body as it is")


def _text(request: Request) -> str:
    if request.method == "GET":
        return json.dumps(query_values(request.query))
    _refuse_encoded(request)
    try:
        return request.body.decode()
    except UnicodeDecodeError as error:
        raise InputError(400, f"Input cannot be decoded as UTF-8: {error}") from None


def _object_arguments(request: Request, parameters: tuple[inspect.Parameter, ...]) -> Arguments:
    values = query_values(request.query) if request.method == "GET" else _json_object(request)
    arguments = {}
    for parameter in parameters:
        value = values.get(parameter.name, parameter.default)
        if value is inspect.Parameter.empty:
            raise InputError(400, f"A value is not provided for the {parameter.name!r} parameter.")
        arguments[parameter.name] = value
    return arguments


def _json_object(request: Request) -> dict[str, Any]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise InputError(415, "Expects Content-Type to be application/json")
    _refuse_encoded(request)
    if not request.body:
        raise InputError(400, "POST body is empty. Expecting a JSON dictionary.")
    try:
        # orjson refuses NaN and Infinity, and integers beyond 64 bits become floats: json has the last word.
        content = orjson.loads(request.body)
    except ValueError:
        try:
            content = json.loads(request.body)
        except ValueError as error:
            raise InputError(400, f"POST body could not be decoded as JSON: {error}") from None
        except RecursionError:
            raise InputError(400, TOO_DEEP) from None
    if not isinstance(content, dict):
        raise InputError(400, "POST body should be a JSON dictionary.")
    return content
