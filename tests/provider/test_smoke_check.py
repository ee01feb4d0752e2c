"""The check against a server that answers as Triton and the entry script do, and against ones that do not."""

import http.server
import json
import threading

import pytest

from bundle.layout import check_layout
from bundle.probe_questions import declared_versions
from bundle.registry import Registry
from serving.probing import probe
from targets.smoke_check import Question, SmokeCheckError, check
from tests.provider.asking import create

KEY = "k" * 43


class Service:
    """A service whose answers a test chooses: `answers` maps a path to a status and a JSON value."""

    def __init__(self, models):
        self.answers = {"/v2/health/ready": (200, None), "/": (200, "Healthy"), "/score": (200, {"digit": 7})}
        for model in models:
            path = f"/v2/models/{model['name']}/versions/{max(model['versions'])}"
            self.answers[f"{path}/ready"] = (200, None)
            self.answers[path] = (200, {"inputs": model["inputs"], "outputs": model["outputs"]})
            self.answers[f"{path}/infer"] = (200, model["golden"]["response"])
            self.infer, self.metadata, self.ready = f"{path}/infer", path, f"{path}/ready"
        self.guarded = True
        self.requests = []


@pytest.fixture
def registered(tmp_path, bundle_folder):
    registry = Registry(str(tmp_path / "registry"))
    return registry, registry.register("m", check_layout(bundle_folder, target="process"), framework="Multi")


@pytest.fixture
def service(registered):
    answering = Service(registered[1].models)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            answering.requests.append((self.command, self.path, body))
            status, value = answering.answers.get(self.path, (404, {"error": "no such path"}))
            if answering.guarded and self.headers.get("Authorization") != f"Bearer {KEY}":
                status, value = 401, {"error": "no key"}
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(b"" if value is None else json.dumps(value).encode())

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    answering.url = f"http://127.0.0.1:{server.server_port}"
    yield answering
    server.shutdown()
    server.server_close()


@pytest.fixture
def asked(service, registered):
    registry, version = registered
    return {
        "url": service.url,
        "key": KEY,
        "certificate": "",
        "bundles": [
            {
                "registry": registry.url,
                "name": version.name,
                "version": version.version,
                "digest": version.digest,
                "path": version.path,
                "framework": "Multi",
            }
        ],
        "score": json.dumps({"request": {"pixels": [0]}, "response": {"digit": 7}}),
        "settings": "digest",
        "generation": {"number": 1},
    }


def problems(asked):
    """The problems of a service, as the check words them."""
    return check(Question(**{name: value for name, value in asked.items() if name not in ("settings", "generation")}))[
        1
    ]


def test_a_service_that_answers_right_passes(asked):
    assert problems(asked) == []


def test_an_open_door_is_a_problem(asked, service):
    service.guarded = False
    assert problems(asked) == ["GET /v2/health/ready without a key: expected 401, received 200"]


def test_a_version_that_is_not_ready_is_named(asked, service):
    service.answers[service.ready] = (400, {"error": "not ready"})
    (problem,) = problems(asked)
    assert problem.startswith(f"GET {service.ready}: expected 200, received 400")


def test_perturbed_weights_are_found(asked, service):
    status, value = service.answers[service.infer]
    changed = json.loads(json.dumps(value))
    changed["outputs"][-1]["data"][0] += 0.5
    service.answers[service.infer] = (status, changed)
    (problem,) = problems(asked)
    assert problem.startswith(f"model digits version 1: golden inference: POST {service.infer}: output '")


def test_other_inputs_than_declared_are_found(asked, service):
    _, value = service.answers[service.metadata]
    service.answers[service.metadata] = (200, {**value, "inputs": []})
    assert any("expected" in problem and service.metadata in problem for problem in problems(asked))


def test_the_probe_before_the_switch_asks_the_same_and_judges_the_same(asked, service, registered):
    """Nothing is asked for the first time after the switch of traffic."""
    declared = {"url": service.url, "models": declared_versions(registered[1])}
    service.guarded = False  # Triton itself has no door
    service.answers["/v2/health/live"] = (200, None)

    def of_models(found):
        return [request for request in found if request[1].startswith("/v2/models/")]

    assert probe.run({"triton": declared}) == []
    probed, service.requests = of_models(service.requests), []
    problems({**asked, "key": ""})
    assert of_models(service.requests) == probed != []

    _, value = service.answers[service.metadata]
    service.answers[service.metadata] = (200, {**value, "inputs": []})
    before, after = probe.run({"triton": declared}), problems({**asked, "key": ""})
    assert [line.replace(service.url, "") for line in before] == after != []


def test_another_score_is_found(asked, service):
    service.answers["/score"] = (200, {"digit": 3})
    (problem,) = problems(asked)
    assert problem == 'scorer: golden request: POST /score: expected {"digit": 7}, received {"digit": 3}'


def test_a_failure_fails_the_update_and_shows_no_key(asked, service):
    service.answers["/v2/health/ready"] = (503, None)
    with pytest.raises(SmokeCheckError, match="GET /v2/health/ready: expected 200, received 503") as failed:
        create("SmokeCheck", asked)
    assert KEY not in str(failed.value)


def test_nobody_at_the_address_is_a_problem_not_a_traceback(asked):
    (problem,) = problems({**asked, "url": "http://127.0.0.1:1"})
    assert problem.startswith("http://127.0.0.1:1 does not answer")


def test_the_check_of_a_new_version_waits_until_it_has_all_of_the_traffic(asked, service):
    service.answers["/score"] = (200, {"digit": 1})  # the old version's answer
    said = []
    asked["generation"] = {"number": 1, "behind": True, "candidate": {"number": 2, "percent": 10}}
    assert create("SmokeCheck", asked, said) == {"checks": 0}
    assert said[0].startswith("the check waits until the new version has all of the traffic")
    with pytest.raises(SmokeCheckError):
        create("SmokeCheck", {**asked, "generation": {"number": 1}})
