"""The check of a deployed service from outside: through the front door, with the key."""

import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pulumi
from pulumi.dynamic import CreateResult, Resource, UpdateResult

from bundle.registry import Registry
from components.providers.base import Provider, say
from serving.probe import CHECK_HEADER, alike, compare_outputs, received_json

__all__ = ["SmokeCheck", "SmokeCheckError", "check", "client", "problems"]


class SmokeCheckError(Exception):
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
    `settings.golden.score_question` gives), and `serverName` where the certificate is for another host than the URL's.
    """
    return check(props)[1]


def client(props: Mapping[str, Any]) -> httpx.Client:
    """A client of the front door as `problems` describes it, with the key."""
    certificate = props["certificate"]
    verify = ssl.create_default_context(cafile=certificate or None)
    verify.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the file may hold no authority's certificate
    headers = {"Authorization": f"Bearer {props['key']}"} if props["key"] else {}
    transport = _NamedTransport(str(props.get("serverName", "")), verify=verify)
    return httpx.Client(base_url=props["url"], headers=headers, timeout=60, transport=transport)


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
                    for model in registered.models:
                        yield from self._model(model)
                if self._props.get("score") is not None:
                    yield from self._score(json.loads(self._props["score"]))
            except httpx.HTTPError as error:
                yield f"{self._props['url']} does not answer: {error}"

    def _front_door(self) -> Iterator[str]:
        health = "/v2/health/ready" if self._props["bundles"] else "/"
        yield from self._expect("GET", health, 200)
        if self._key:
            self.count += 1
            with client({**self._props, "key": ""}) as stranger:
                status = stranger.get(health).status_code
            if status != 401:
                yield f"GET {health} without a key: expected 401, received {status}"

    def _model(self, model: Mapping[str, Any]) -> Iterator[str]:
        for version in model["versions"]:
            yield from self._expect("GET", f"/v2/models/{model['name']}/versions/{version}/ready", 200)
        newest = f"/v2/models/{model['name']}/versions/{max(model['versions'])}"
        yield from self._metadata(newest, model)
        golden = model["golden"]
        if golden:
            self.count += 1
            answer = self._client.post(f"{newest}/infer", json=golden["request"])
            if answer.status_code != 200:
                yield f"POST {newest}/infer: expected 200, received {answer.status_code}: {answer.text[:300]}"
                return
            tolerance = golden["tolerance"]
            for difference in compare_outputs(golden["response"]["outputs"], answer.json()["outputs"], **tolerance):
                yield f"POST {newest}/infer: {difference}"

    def _metadata(self, path: str, model: Mapping[str, Any]) -> Iterator[str]:
        self.count += 1
        answer = self._client.get(path)
        if answer.status_code != 200:
            yield f"GET {path}: expected 200, received {answer.status_code}: {answer.text[:300]}"
            return
        metadata = answer.json()
        for kind in ("inputs", "outputs"):
            declared = {tensor["name"]: tensor for tensor in model[kind]}
            served = {tensor["name"]: tensor for tensor in metadata[kind]}
            for name, tensor in declared.items():
                expected = (tensor["datatype"], [int(size) for size in tensor["shape"]])
                received = (served[name]["datatype"], served[name]["shape"]) if name in served else None
                if received != expected:
                    yield f"GET {path}: {kind[:-1]} '{name}': expected {expected}, received {received}"

    def _score(self, golden: Mapping[str, Any]) -> Iterator[str]:
        if not golden:
            yield from self._expect("GET", "/", 200)
            return
        self.count += 1
        answer = self._client.post("/score", json=golden["request"], headers={CHECK_HEADER: "true"})
        if answer.status_code != 200 or not alike(golden["response"], received_json(answer.content)):
            expected = json.dumps(golden["response"])[:300]
            yield f"POST /score: expected 200 and {expected}, received {answer.status_code} and {answer.text[:300]}"

    def _expect(self, method: str, path: str, status: int) -> Iterator[str]:
        self.count += 1
        answer = self._client.request(method, path)
        if answer.status_code != status:
            yield f"{method} {path}: expected {status}, received {answer.status_code}: {answer.text[:300]}"


class SmokeCheck(Resource, module="triton", name="SmokeCheck"):
    """The check of a deployed service; its inputs name everything whose change calls for another one."""

    checks: pulumi.Output[int]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = SmokeCheckProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
