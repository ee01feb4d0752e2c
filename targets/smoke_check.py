"""The check of a deployed service from outside: through the front door, with the key."""

import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
from pydantic import SecretStr

from bundle.probe_questions import declared_versions
from bundle.registry import Registry
from common.errors import UserError
from common.part import Part
from serving.probing.golden_check import Answer, Unreachable, model_path, model_problems, score_problems
from serving.probing.probe import CHECK_HEADER
from targets.served import ServedBundle

__all__ = ["Question", "Questions", "SmokeCheckError", "check", "client", "failure"]


class SmokeCheckError(UserError):
    """A service that does not answer as it should: what was asked, expected and received, a line each."""


class Questions(Part):
    """What is asked of a service, wherever its front door is.

    Attributes:
        server_name: The host that the certificate is for, where it is another one than the URL's; else "".
        key: A key of the front door, "" where it is open.
        certificate: A PEM file to trust, "" for the system's.
        bundles: The bundles that Triton serves.
        score: None, or the JSON text of `settings.golden.score_question`.
        timeout_seconds: What the front door gives to a request.
    """

    server_name: str = ""
    key: SecretStr
    certificate: str
    bundles: tuple[ServedBundle, ...]
    score: str | None = None
    timeout_seconds: float = 0

    def at(self, url: str) -> "Question":
        """Address the questions to a front door."""
        return Question(url=url, **{name: getattr(self, name) for name in Questions.model_fields})


class Question(Questions):
    """What is asked of the service whose front door is at `url`."""

    url: str


def check(question: Question) -> tuple[int, list[str]]:
    """Ask a service, and tell what is wrong with it.

    Returns:
        How many things were asked, and the problems, a line each: what was asked, expected and received.
    """
    asked = _Check(question)
    found = list(asked.problems())
    return asked.count, found


def failure(problems: list[str]) -> SmokeCheckError:
    """Name the problems that a check found."""
    return SmokeCheckError("the deployed service failed its check:\n" + "\n".join(f"  {line}" for line in problems))


def client(question: Question) -> httpx.Client:
    """Make a client of the front door, with the key."""
    verify = ssl.create_default_context(cafile=question.certificate or None)
    verify.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the file may hold no authority's certificate
    key = question.key.get_secret_value()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = _NamedTransport(question.server_name, verify=verify)
    # The front door gives up first.
    timeout = max(60.0, question.timeout_seconds + 10)
    return httpx.Client(base_url=question.url, headers=headers, timeout=timeout, transport=transport)


class _NamedTransport(httpx.HTTPTransport):
    """A transport that expects the certificate of a host by name, whatever address leads to it."""

    def __init__(self, name: str, verify: ssl.SSLContext) -> None:
        super().__init__(verify=verify)
        self._name = name

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._name:
            request.extensions = {**request.extensions, "sni_hostname": self._name}
        return super().handle_request(request)


class _Check:
    """Asks the questions of `golden_check` through the front door, and those for the front door itself."""

    def __init__(self, question: Question) -> None:
        self.count = 0
        self._question = question
        self._client = client(question)

    def problems(self) -> Iterator[str]:
        with self._client:
            try:
                yield from self._front_door()
                for bundle in self._question.bundles:
                    registered = Registry(bundle.registry).get(bundle.name, bundle.version)
                    for version in declared_versions(registered):
                        yield from self._model(version)
                if self._question.score is not None:
                    yield from self._score(json.loads(self._question.score))
            except Unreachable as error:
                yield f"{self._question.url} does not answer: {error}"

    def _front_door(self) -> Iterator[str]:
        health = "/v2/health/ready" if self._question.bundles else "/"
        yield from self._expect_ok(health)
        if self._question.key.get_secret_value():
            self.count += 1
            with client(self._question.model_copy(update={"key": SecretStr("")})) as stranger:
                status = _answer(stranger, "GET", health, {}, None).status
            if status != 401:
                yield f"GET {health} without a key: expected 401, received {status}"

    def _model(self, version: Mapping[str, Any]) -> Iterator[str]:
        yield from self._expect_ok(f"{model_path(version)}/ready")
        yield from (problem.text for problem in model_problems(self._ask, "", version))

    def _score(self, golden: Mapping[str, Any]) -> Iterator[str]:
        if not golden:
            yield from self._expect_ok("/")
            return
        yield from (problem.text for problem in score_problems(self._ask, "", golden))

    def _expect_ok(self, path: str) -> Iterator[str]:
        answer = self._ask("GET", path, {}, None)
        if answer.status != 200:
            yield f"GET {path}: expected 200, received {answer.status}: {answer.body[:300].decode(errors='replace')}"

    def _ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        self.count += 1
        return _answer(self._client, method, path, headers, body)


def _answer(asked: httpx.Client, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
    try:
        answer = asked.request(method, path, headers={**headers, CHECK_HEADER: "true"}, content=body)
    except httpx.HTTPError as error:
        raise Unreachable(str(error)) from None
    return Answer(answer.status_code, answer.content, dict(answer.headers))
