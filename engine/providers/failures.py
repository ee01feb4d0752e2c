"""What goes wrong in a provider, and what its gRPC errors say."""

from __future__ import annotations

import builtins
import re
from typing import Any

import grpc

from common.bugs import BUGS
from engine.errors import EngineError
from engine.providers.proto import errors_pb2, status_pb2
from engine.state.values import Properties


class ProviderError(EngineError):
    """A provider's refusal. `unknown_outcome` says that the operation may have taken place all the same."""

    def __init__(self, message: str, *, unknown_outcome: bool = False) -> None:
        super().__init__(message)
        self.unknown_outcome = unknown_outcome


class CheckError(ProviderError):
    """Inputs that a provider found wrong."""


class PartialFailure(ProviderError):
    """An object that exists but did not become ready; it goes into state with `reasons`.

    `inputs` are those that a provider read, None where it did not say.
    """

    def __init__(self, reasons: list[str], id_: str, outputs: Properties, inputs: Properties | None = None) -> None:
        super().__init__("\n".join(reasons) or "resource init failed")
        self.reasons = tuple(reasons)
        self.id = id_
        self.outputs = outputs
        self.inputs = inputs


def raise_failures(failures: Any) -> None:
    """Raise what a provider found wrong with inputs, if anything.

    Raises:
        CheckError: There are failures; its text has a line for each.
    """
    if failures:
        raise CheckError(
            "\n".join(f"{item.property}: {item.reason}" if item.property else item.reason for item in failures)
        )


def wrong_inputs(error: grpc.RpcError) -> CheckError | None:
    """Return what a plugin found wrong with a component's inputs, a line for each, if that is what its error says."""
    for detail in error_details(error):
        wrong = errors_pb2.InputPropertiesError()
        if detail.Unpack(wrong):
            lines = [f"{item.property_path}: {item.reason}" for item in wrong.errors]
            return CheckError("\n".join([*filter(None, [error.details()]), *lines]))
    return None


def error_details(error: grpc.RpcError) -> list[Any]:
    """Return the messages that a gRPC error carries besides its text."""
    metadata: Any = error.trailing_metadata() or ()
    for key, value in metadata:
        if key == "grpc-status-details-bin":
            return list(status_pb2.Status.FromString(value).details)
    return []


_TRACEBACK = re.compile(r"^Traceback \(most recent call last\):\n", re.MULTILINE)
_SERVICER = re.compile(r"(?:Unexpected <class '[\w.]+'>: )?(?P<message>.*?):\n(?P<frames>  File \".*)", re.DOTALL)
_RAISE = re.compile(r"    raise (?P<name>[\w.]+)")
_EXCEPTION = re.compile(r"^(?P<name>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$", re.DOTALL)


def exception_message(details: str) -> str:
    """Return what a provider's exception says, out of the traceback that the SDK sends.

    The whole text for an exception that is a mistake in the provider's code, such as KeyError.
    """
    if match := _SERVICER.fullmatch(details.rstrip()):  # the SDK's own servicer: a message, and frames under it
        raised = _RAISE.fullmatch(match["frames"].rsplit("\n", 1)[-1].partition("(")[0])
        return match["message"] if raised and not _is_bug(raised["name"]) else f"{match['message']}:\n{match['frames']}"
    # The last one: of a chain it is the exception that was raised. One within a message is indented.
    found = list(_TRACEBACK.finditer(details))
    if not found:
        return details.strip()
    lines = details[found[-1].end() :].splitlines()
    start = next((number for number, line in enumerate(lines) if line and not line.startswith(" ")), None)
    match = _EXCEPTION.match("\n".join(lines[start:]).strip()) if start is not None else None
    if match is None or not match["message"]:
        return details.strip()
    return details.strip() if _is_bug(match["name"]) else match["message"]


def _is_bug(name: str) -> bool:
    kind = getattr(builtins, name, None)
    return isinstance(kind, type) and issubclass(kind, BUGS)
