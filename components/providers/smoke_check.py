"""The check of a deployed service from outside: through the front door, with the key."""

import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pulumi
from pulumi.dynamic import CreateResult, Resource, UpdateResult

from bundle.probe_questions import declared_versions
from bundle.registry import Registry
from common.errors import UserError
from components.providers.base import Provider, say
from serving.probing.judging import Answer, Unreachable, model_path, model_problems, score_problems
from serving.probing.probe import CHECK_HEADER

__all__ = ["SmokeCheck", "SmokeCheckError", "check", "client", "problems"]


class SmokeCheckError(UserError):
    """A service that does not answer as it should: what was asked, expected and received, a line each."""


class SmokeCheckProvider(Provider):
    """Runs the check when the resource is made and whenever one of its inputs changed."""

    outputs = frozenset({"checks"})

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_="smoke-check", outs=_run(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(outs=_run(_news))


def _run(props: dict[str, Any]) -> dict[str, Any]:
    count, found = check(props)
    if found:
        raise SmokeCheckError("the deployed service failed its check:\n" + "\n".join(f"  {line}" for line in found))
    say(f"{count} checks through {props['url']} passed")
    return {**props, "checks": count}


def check(props: Mapping[str, Any]) -> tuple[int, list[str]]:
    """How many things were asked of a service, and its `problems`."""
    asked = _Check(props)
    found = list(asked.problems())
    return asked.count, found


def problems(props: Mapping[str, Any]) -> list[str]:
    """List what is wrong with a service, a line each: what was asked, expected and received.

    `props`: `url` of the front door, `key` ("" where it is open), `certificate` (a PEM file to trust, "" for the
    system's), `bundles` (`registry`, `name`, `version` of those that Triton serves), `score` (null, or what
    `settings.golden.score_question` gives), `timeoutSeconds` (what the front door gives to a request), and `serverName`
    where the certificate is for another host than the URL's.
    """
    return check(props)[1]


def client(props: Mapping[str, Any]) -> httpx.Client:
    """A client of the front door as `problems` describes it, with the key."""
    certificate = props["certificate"]
    verify = ssl.create_default_context(cafile=certificate or None)
    verify.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the file may hold no authority's certificate
    headers = {"Authorization": f"Bearer {props['key']}"} if props["key"] else {}
    transport = _NamedTransport(str(props.get("serverName", "")), verify=verify)
    # The front door gives up first.
    timeout = max(60.0, float(props.get("timeoutSeconds", 0)) + 10)
    return httpx.Client(base_url=props["url"], headers=headers, timeout=timeout, transport=transport)


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
    """The questions of `serving.probing.judging`, asked through the front door, and those for the front door itself."""

    def __init__(self, props: Mapping[str, Any]) -> None:
        self.count = 0
        self._props = props
        self._key = str(props["key"])
        self._client = client(props)

    def problems(self) -> Iterator[str]:
        with self._client:
            try:
                yield from self._front_door()
                for bundle in self._props["bundles"]:
                    registered = Registry(bundle["registry"]).get(bundle["name"], int(bundle["version"]))
                    for version in declared_versions(registered):
                        yield from self._model(version)
                if self._props.get("score") is not None:
                    yield from self._score(json.loads(self._props["score"]))
            except Unreachable as error:
                yield f"{self._props['url']} does not answer: {error}"

    def _front_door(self) -> Iterator[str]:
        health = "/v2/health/ready" if self._props["bundles"] else "/"
        yield from self._expect_ok(health)
        if self._key:
            self.count += 1
            with client({**self._props, "key": ""}) as stranger:
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


class SmokeCheck(Resource, module="triton", name="SmokeCheck"):
    """The check of a deployed service; its inputs name everything whose change calls for another one."""

    checks: pulumi.Output[int]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = SmokeCheckProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
