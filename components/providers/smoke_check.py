"""The check of a deployed service from outside: through the front door, with the key."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pulumi
from pulumi.dynamic import CreateResult, Resource, UpdateResult

from bundle.registry import Registry
from components.providers.base import Provider, say
from serving.probe import compare_outputs

__all__ = ["SmokeCheck", "SmokeCheckError", "problems"]

TOLERANCE = 1e-4


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
    check = _Check(props)
    found = list(check.problems())
    if found:
        raise SmokeCheckError("the deployed service failed its check:\n" + "\n".join(f"  {line}" for line in found))
    say(f"{check.count} checks through {props['url']} passed")
    return {**props, "checks": check.count}


def problems(props: Mapping[str, Any]) -> list[str]:
    """List what is wrong with a service, a line each: what was asked, expected and received.

    `props`: `url` of the front door, `key` ("" where it is open), `certificate` (a PEM file to trust, "" for the
    system's), `bundles` (`registry`, `name`, `version` of those that Triton serves), `score` (null, or the script's
    golden `request` and `response`, both null where it has none).
    """
    return list(_Check(props).problems())


class _Check:
    def __init__(self, props: Mapping[str, Any]) -> None:
        self.count = 0
        self._props = props
        self._key = str(props["key"])
        verify: Any = props["certificate"] or True
        self._client = httpx.Client(base_url=props["url"], verify=verify, timeout=60, headers=self._authorization())

    def problems(self) -> Iterator[str]:
        with self._client:
            try:
                yield from self._front_door()
                for bundle in self._props["bundles"]:
                    registered = Registry(bundle["registry"]).get(bundle["name"], int(bundle["version"]))
                    for model in registered.models:
                        yield from self._model(model)
                if self._props.get("score") is not None:
                    yield from self._score(self._props["score"])
            except httpx.HTTPError as error:
                yield f"{self._props['url']} does not answer: {error}"

    def _front_door(self) -> Iterator[str]:
        health = "/v2/health/ready" if self._props["bundles"] else "/"
        yield from self._expect("GET", health, 200)
        if self._key:
            self.count += 1
            status = httpx.get(
                f"{self._props['url']}{health}", verify=self._props["certificate"] or True, timeout=60
            ).status_code
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
        if golden.get("request") is None:
            yield from self._expect("GET", "/", 200)
            return
        self.count += 1
        answer = self._client.post("/score", json=golden["request"])
        received: object = answer.text
        if answer.headers.get("content-type", "").startswith("application/json"):
            received = answer.json()
        if answer.status_code != 200 or not _alike(golden["response"], received):
            expected = json.dumps(golden["response"])[:300]
            yield f"POST /score: expected 200 and {expected}, received {answer.status_code} and {answer.text[:300]}"

    def _expect(self, method: str, path: str, status: int) -> Iterator[str]:
        self.count += 1
        answer = self._client.request(method, path)
        if answer.status_code != status:
            yield f"{method} {path}: expected {status}, received {answer.status_code}: {answer.text[:300]}"

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}


def _alike(expected: object, received: object) -> bool:
    """Tell whether two JSON values are the same, numbers within `TOLERANCE`."""
    if isinstance(expected, dict) and isinstance(received, dict):
        return expected.keys() == received.keys() and all(_alike(v, received[k]) for k, v in expected.items())
    if isinstance(expected, list) and isinstance(received, list):
        return len(expected) == len(received) and all(map(_alike, expected, received))
    if isinstance(expected, int | float) and isinstance(received, int | float):
        return math.isclose(expected, received, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return expected == received


class SmokeCheck(Resource, module="triton", name="SmokeCheck"):
    """The check of a deployed service; its inputs name everything whose change calls for another one."""

    checks: pulumi.Output[int]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = SmokeCheckProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
