"""The requests that the page's form sends: a model's golden inference, the script's golden request, or one's own.

They go through the front door, with a key that stays in this process.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from bundle.probe_questions import declared_versions
from bundle.registry import Registry, RegistryError
from serving.probing.judging import Answer, Problem, golden_problems, model_path, score_problems
from serving.triton.tensors import decode, encode
from settings import Settings
from settings.certificate_file import server_name
from settings.golden import golden_request
from targets.contract import OpenDoor
from targets.errors import ServiceError
from targets.smoke_check import Question, client

__all__ = ["Asking", "Golden", "Outputs"]

Outputs = Mapping[str, Any]
DEFAULT = "default"
_METHODS = ("GET", "POST")
_SHOWN_BYTES = 256 * 1024
_SHOWN_HEADERS = ("content-type", "x-request-id", "retry-after", "www-authenticate")


@dataclass(frozen=True)
class Golden:
    """A request whose answer is known.

    Attributes:
        name: What it asks.
        path: The path at the front door.
        headers: The headers.
        body: The body.
        judge: Says what is wrong with an answer.
    """

    name: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    judge: Callable[[Answer], list[Problem]] = field(repr=False)

    @property
    def shown(self) -> dict[str, Any]:
        """Give it as the form shows it; a body that is no text has none there."""
        try:
            text: str | None = self.body.decode()
        except UnicodeDecodeError:
            text = None
        return {
            "name": self.name,
            "method": "POST",
            "path": self.path,
            "contentType": self.headers.get("Content-Type", ""),
            "body": text if text is None or len(text) <= _SHOWN_BYTES else None,
            "bytes": len(self.body),
        }


class Asking:
    """What may be asked of a service, and the keys to ask with.

    Args:
        settings: The stack's settings.
        read: Reads the stack's outputs with its secrets.
        door: Finds the service's front door, which may move.
    """

    def __init__(self, settings: Settings, read: Callable[[], Outputs], door: Callable[[], OpenDoor]) -> None:
        self._settings, self._read, self._door = settings, read, door
        self._outputs = read()
        self._golden = {golden.name: golden for golden in _goldens(settings, self._outputs)}

    def shown(self) -> dict[str, Any]:
        """Give what the form offers; no key is among it."""
        own = self._outputs.get("clientKeys") or {}
        return {
            "service": self._settings.service_name,
            "golden": [golden.shown for golden in self._golden.values()],
            "clients": [DEFAULT, *own] if self._settings.deployment.auth_enabled else [],
            "described": bool(self._outputs.get("swaggerUri")),
        }

    def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request of the form, and give the answer as the page shows it.

        Args:
            asked: `golden` names the request to send as it is. Else `method`, `path`, `contentType` and `body` say it.
                `client` is the client by whose key it goes.

        Raises:
            ServiceError: There is no such request or client, or the front door does not answer.
        """
        golden = None
        name = str(asked.get("client") or DEFAULT)
        if asked.get("golden"):
            golden = self._golden.get(str(asked["golden"]))
            if golden is None:
                raise ServiceError("this golden request is not there any more; load the page anew")
            method, path, headers, body = "POST", golden.path, dict(golden.headers), golden.body
        else:
            method, path = str(asked.get("method", "POST")), str(asked.get("path", ""))
            if method not in _METHODS or not path.startswith("/"):
                raise ServiceError(f"expected {' or '.join(_METHODS)}, and a path that starts with '/'")
            body = str(asked.get("body", "")).encode() if method == "POST" else b""
            headers = {"Content-Type": str(asked.get("contentType") or "application/json")} if body else {}
        answer, took = self._send(name, method, path, headers, body)
        if answer.status_code == httpx.codes.UNAUTHORIZED:  # the key may be another one by now
            self._outputs = self._read()
            answer, took = self._send(name, method, path, headers, body)
        received = Answer(answer.status_code, answer.content, dict(answer.headers))
        return {
            "status": answer.status_code,
            "reason": answer.reason_phrase,
            "milliseconds": took * 1000,
            "headers": {name: answer.headers[name] for name in _SHOWN_HEADERS if name in answer.headers},
            "body": _readable(received),
            "bytes": len(answer.content),
            "wrong": None if golden is None else [problem.text for problem in golden.judge(received)],
        }

    def description(self) -> dict[str, Any]:
        """Give the OpenAPI document of `/score`, which the entry script server makes.

        Raises:
            ServiceError: There is none.
        """
        answer, _ = self._send(DEFAULT, "GET", "/swagger.json?version=3", {}, b"")
        if answer.status_code != httpx.codes.OK:
            raise ServiceError(
                f"/swagger.json answers {answer.status_code}; an entry script has a description, and Triton none"
            )
        document: dict[str, Any] = answer.json()
        return document

    def _send(
        self, name: str, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[httpx.Response, float]:
        try:
            with client(self._question(name)) as asking:
                began = time.perf_counter()
                answer = asking.request(method, path, headers=dict(headers), content=body or None)
                return answer, time.perf_counter() - began
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise ServiceError(f"the front door cannot be asked: {error}") from None

    def _question(self, name: str) -> Question:
        settings = self._settings
        scheme = "https" if settings.tls else "http"
        return Question(
            url=f"{scheme}://127.0.0.1:{self._door().port}",
            server_name=server_name(settings),
            key=SecretStr(self._key(name) if settings.deployment.auth_enabled else ""),
            certificate=str(Path(settings.tls.certificate_file).resolve()) if settings.tls else "",
            bundles=(),
            timeout_seconds=settings.deployment.limits.scoring_seconds,
        )

    def _key(self, name: str) -> str:
        if name == DEFAULT:
            return str(self._outputs.get("primaryKey", ""))
        keys = (self._outputs.get("clientKeys") or {}).get(name)
        if keys is None:
            raise ServiceError("this client has no key of its own; load the page anew")
        return str(keys["primary"])


def _goldens(settings: Settings, outputs: Outputs) -> Iterator[Golden]:
    golden = golden_request(settings)
    if golden is not None:
        yield _score(golden)
    registry = Registry(settings.registry)
    for bundle in outputs.get("models") or ():
        name, _, version = str(bundle["modelId"]).rpartition(":")
        try:
            registered = registry.get(name, int(version)) if bundle["models"] else None
        except RegistryError:  # the form has one's own requests all the same
            continue
        for model in declared_versions(registered) if registered is not None else ():
            if model["golden"]:
                yield _model(model)


def _score(golden: Mapping[str, Any]) -> Golden:
    if "body" in golden:
        content_type, body = golden["contentType"], base64.b64decode(golden["body"])
    else:
        content_type, body = "application/json", json.dumps(golden["request"]).encode()
    return Golden(
        name="/score",
        path="/score",
        headers={"Content-Type": content_type},
        body=body,
        judge=lambda answer: score_problems(lambda *_: answer, "", golden),
    )


def _model(model: Mapping[str, Any]) -> Golden:
    headers, body = encode(model["golden"], model.get("outputs") or ())
    return Golden(
        name=f"{model['name']}, version {model['version']}",
        path=f"{model_path(model)}/infer",
        headers=headers,
        body=body,
        judge=lambda answer: golden_problems(lambda *_: answer, "", model),
    )


def _readable(answer: Answer) -> str:
    """Write an answer for people: JSON indented, binary tensors as numbers, and what is no text as its size."""
    try:
        text = json.dumps(json.loads(answer.body), indent=2)
    except ValueError:
        try:
            text = json.dumps(decode(answer.headers, answer.body), indent=2)
        except (ValueError, KeyError, TypeError):
            try:
                text = answer.body.decode()
            except UnicodeDecodeError:
                return f"({len(answer.body)} bytes that are no text)"
    return text if len(text) <= _SHOWN_BYTES else text[:_SHOWN_BYTES] + "\n(cut off here)"
