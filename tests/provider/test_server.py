"""The provider as Pulumi's engines see it: a process that answers over gRPC."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from provider.resource_type import TYPES
from tests.provider.server import THINGS, UNKNOWN, half_made, secret, serving, told, urn
from tests.waiting import eventually

SCHEMA = Path(__file__).with_name("schema.json")
ADD, DELETE, UPDATE = provider_pb2.PropertyDiff.ADD, provider_pb2.PropertyDiff.DELETE, provider_pb2.PropertyDiff.UPDATE
NONE, SOME = provider_pb2.DiffResponse.DIFF_NONE, provider_pb2.DiffResponse.DIFF_SOME
HEALTHY = {"state": "Healthy", "problems": [], "generation": {"number": 1}}
OWN_KEY = "a-key-of-the-users-own-0123456789"


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def things():
    """The server with the type `Thing`."""
    with serving(THINGS) as running:
        yield running


@pytest.fixture
def service(tmp_path):
    """The inputs of a service with one bundle and a script."""
    return {
        "serviceName": "web",
        "owner": "o",
        "stateDirectory": str(tmp_path),
        "variables": {"WORKER_COUNT": "2", "my.name": "x"},
        "bundles": [
            {
                "registry": "/registry",
                "name": "m",
                "version": 1.0,
                "digest": "d",
                "path": "/registry/m/1",
                "framework": "Multi",
            }
        ],
        "environmentPath": "/environments/e",
        "environmentDigest": "e",
        "resources": {},
        "limits": {},
        "rollout": {"drainSeconds": 5},
        "entryScript": None,
    }


# -- Check


def test_inputs_without_a_mistake_come_back_as_they_are(server, service):
    assert server.check("ProcessService", service) == {}
    assert server.check("AccessKey", {"edition": 1.0, "given": secret(OWN_KEY)}) == {}


def test_every_mistake_is_told_at_once_with_its_path(server, service):
    bundle = {**service["bundles"][0], "version": "one", "framework": "Mutli"}
    del service["environmentDigest"]
    mistaken = {**service, "bundles": [bundle], "owners": "o", "variables": {"WORKER_COUNT": 2.0, "my.name": 1.0}}
    told = server.check("ProcessService", mistaken)
    assert set(told) == {
        "bundles[0].version",
        "bundles[0].framework",
        "environmentDigest",
        "owners",
        "variables.WORKER_COUNT",
        'variables["my.name"]',
    }
    assert "valid integer" in told["bundles[0].version"]
    assert "'Multi' or 'Custom'" in told["bundles[0].framework"]
    assert told["environmentDigest"] == "Field required"
    assert told["owners"] == "Extra inputs are not permitted"


def test_a_value_that_is_no_integer_is_a_mistake(server):
    assert set(server.check("AccessKey", {"edition": 1.5})) == {"edition"}


def test_a_mistake_shows_no_secret(server):
    told = server.check("AccessKey", {"edition": secret("s3cret"), "given": secret([OWN_KEY])})
    assert set(told) == {"edition", "given"}
    assert OWN_KEY not in str(told)
    assert "s3cret" not in str(told)


@pytest.mark.parametrize("unknown", [UNKNOWN, secret(UNKNOWN)])
def test_what_is_not_known_yet_is_no_mistake_and_a_name_that_is_not_known_is(server, service, unknown):
    assert server.check("ProcessService", {**service, "bundles": unknown}) == {}
    bundle = {**service["bundles"][0], "version": unknown}
    assert server.check("ProcessService", {**service, "bundles": [bundle]}) == {}
    bundle["colour"] = "red"
    assert set(server.check("ProcessService", {**service, "bundles": [bundle], "size": unknown})) == {
        "bundles[0].colour",
        "size",
    }


def test_an_unknown_type_is_named(server):
    with pytest.raises(grpc.RpcError) as failed:
        server.check("Colour", {})
    assert told(failed.value) == "the provider triton has no type of resource 'Colour'"


# -- Diff


def kinds(answer):
    assert answer.hasDetailedDiff
    assert all(change.inputDiff for change in answer.detailedDiff.values())
    return {path: change.kind for path, change in answer.detailedDiff.items()}


def test_a_change_is_told_by_its_path(server, service):
    bundle = service["bundles"][0]
    news = {
        **service,
        "resources": {"memoryGb": 1.0},
        "variables": {"WORKER_COUNT": "3", "ADDED": "y"},
        "bundles": [{**bundle, "version": 2.0}, bundle],
    }
    answer = server.diff("ProcessService", service, HEALTHY, news)
    assert answer.changes == SOME
    assert kinds(answer) == {
        "resources.memoryGb": ADD,
        "variables.WORKER_COUNT": UPDATE,
        "variables.ADDED": ADD,
        'variables["my.name"]': DELETE,
        "bundles[0].version": UPDATE,
        "bundles[1]": ADD,
    }
    assert list(answer.diffs) == ["bundles", "resources", "variables"]
    assert list(answer.replaces) == []
    assert kinds(server.diff("ProcessService", news, HEALTHY, service))["bundles[1]"] == DELETE


def test_equal_inputs_are_no_change_whatever_their_marks_and_their_numbers(server):
    inputs = {"edition": 1.0, "given": secret(OWN_KEY)}
    for news in (inputs, {**inputs, "edition": 1}, {**inputs, "given": OWN_KEY}):
        answer = server.diff("AccessKey", inputs, {"key": secret(OWN_KEY)}, news)
        assert (answer.changes, kinds(answer)) == (NONE, {})
    answer = server.diff("AccessKey", {"edition": 1.0}, {"key": secret("k")}, {"edition": 1.0, "given": None})
    assert answer.changes == NONE


def test_what_is_not_known_yet_may_be_a_change(server, service):
    answer = server.diff("ProcessService", service, HEALTHY, {**service, "environmentDigest": UNKNOWN})
    assert kinds(answer) == {"environmentDigest": UPDATE}


def test_drift_is_a_change_of_an_output(server, service):
    answer = server.diff("ProcessService", service, HEALTHY, service)  # nobody started it
    assert (answer.changes, list(answer.diffs)) == (SOME, ["state"])
    assert {path: (change.kind, change.inputDiff) for path, change in answer.detailedDiff.items()} == {
        "state": (UPDATE, False)
    }


def test_an_update_may_be_refused_while_it_is_planned(things, tmp_path):
    thing = {"does": "nothing", "file": str(tmp_path / "f")}
    with pytest.raises(grpc.RpcError) as refused:
        things.diff("Thing", thing, {"size": 1.0}, {**thing, "does": "refuse"})
    assert told(refused.value) == "such an update is refused"


# -- Create, Update, Read, Delete


def test_secrets_among_the_inputs_stay_marked_and_those_among_the_outputs_are(server):
    inputs = {"edition": 1.0, "given": secret(OWN_KEY)}
    assert server.create("AccessKey", inputs) == ("key", {**inputs, "key": secret(OWN_KEY)})
    assert server.update("AccessKey", inputs, {"key": secret("k")}, inputs) == {**inputs, "key": secret(OWN_KEY)}
    assert server.read("AccessKey", inputs, {"key": secret(OWN_KEY)}) == {**inputs, "key": secret(OWN_KEY)}


def test_what_is_said_reaches_the_engine_with_the_resources_urn(server, service, bundle_folder, tmp_path):
    model = {
        "registry": str(tmp_path / "registry"),
        "cache": "",
        "name": "m",
        "source": str(bundle_folder),
        "digest": "d",
        "framework": "Multi",
        "tags": {},
        "description": "",
    }
    id_, made = server.create("RegisteredModel", model)
    assert id_ == f"{tmp_path}/registry/m"
    assert made["version"] == 1
    assert made["digest"] != "d"  # the output's, in the input's place
    assert (urn("RegisteredModel"), "m:1 is registered") in server.engine.logged
    assert server.read("ProcessService", service, HEALTHY)["state"] == "Stopped"
    assert server.engine.logged[-1][0] == urn("ProcessService")
    assert server.engine.logged[-1][1].startswith("web is Stopped: ")


def test_what_is_gone_is_deleted_without_a_word(server, service):
    server.delete("ProcessService", service, HEALTHY)


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("fail", "the new replicas are not ready\n  scorer ended"),
        ("show a credential", "no answer of https://me:***@host/x?***"),
        ("err", None),
        ("fail without words", None),
    ],
)
@pytest.mark.parametrize("request_", ["create", "update", "read", "delete"])
def test_a_failure_is_its_reason_and_a_mistake_of_ours_its_traceback(things, tmp_path, request_, does, words):
    thing = {"does": does, "file": str(tmp_path / "f")}
    known = {"create": [], "update": [{"size": 1.0}, thing]}.get(request_, [{"size": 1.0}])
    with pytest.raises(grpc.RpcError) as failed:
        getattr(things, request_)("Thing", thing, *known)
    text = told(failed.value)
    assert ("Traceback" in text) == (words is None), text
    assert words in (None, text)


def test_a_thing_made_half_way_fails_with_what_there_is_of_it(things, tmp_path):
    thing = {"does": "half", "file": str(tmp_path / "f"), "password": secret("s3cret")}
    with pytest.raises(grpc.RpcError) as failed:
        things.create("Thing", thing)
    failure, properties = half_made(failed.value)
    assert told(failed.value) == "made, but https://me:***@host/ is silent"
    assert (failure.id, list(failure.reasons)) == ("a-thing", ["made, but https://me:***@host/ is silent"])
    assert properties == {**thing, "size": 3}
    with pytest.raises(grpc.RpcError) as failed:
        things.update("Thing", {**thing, "does": "nothing"}, {"size": 1.0}, thing)
    failure, properties = half_made(failed.value)
    assert (failure.id, properties) == ("r", {**thing, "size": 3})


def test_what_there_is_of_a_half_made_thing_may_be_large(things, tmp_path):
    thing = {"does": "half", "file": str(tmp_path / "f"), "password": "p" * 500_000}
    with pytest.raises(grpc.RpcError) as failed:
        things.create("Thing", thing)
    assert half_made(failed.value)[1] == {**thing, "size": 3}


def test_a_state_of_another_release_can_be_destroyed(server):
    server.delete("AccessKey", {"given": secret(OWN_KEY), "former": secret("s3cret")}, {"key": secret("k3y")})


def test_a_state_that_cannot_be_read_is_refused_without_its_secrets(server):
    with pytest.raises(grpc.RpcError) as refused:
        server.delete("AccessKey", {"given": secret(OWN_KEY), "edition": secret("s3cret")}, {"key": secret("k3y")})
    text = told(refused.value)
    assert "edition" in text
    for shown in (OWN_KEY, "s3cret", "k3y", "Traceback"):
        assert shown not in text


def test_a_thing_measured_half_way_fails_with_what_there_is_of_it(things, tmp_path):
    thing = {"does": "half", "file": str(tmp_path / "f")}
    with pytest.raises(grpc.RpcError) as failed:
        things.read("Thing", thing, {"size": 1.0})
    assert half_made(failed.value)[1] == {**thing, "size": 3}


def test_cancel_ends_a_wait_in_order(tmp_path):
    file = tmp_path / "f"
    with serving(THINGS) as own, ThreadPoolExecutor() as pool:
        making = pool.submit(own.create, "Thing", {"does": "wait", "file": str(file)})
        eventually(lambda: file.is_file() and file.read_text() == "waits")
        start = time.monotonic()
        own.ask.Cancel(empty_pb2.Empty())
        with pytest.raises(grpc.RpcError) as ended:
            making.result(30)
    assert told(ended.value) == "cancelled"
    assert time.monotonic() - start < 10
    assert file.read_text() == "in order"


# -- the provider itself


def test_it_takes_secrets_but_no_outputs_and_makes_nothing_at_preview(server):
    answer = server.ask.Configure(provider_pb2.ConfigureRequest())
    assert answer.acceptSecrets
    assert not answer.acceptOutputs  # the SDK cannot read those that are not known yet
    assert not answer.supportsPreview


def test_the_schema_has_every_type_with_its_words_and_its_secrets(server):
    """Reviewed as a file, for it is what a program may declare. To renew it:

    python -m tests.provider.package_schema
    """
    text = server.ask.GetSchema(provider_pb2.GetSchemaRequest()).schema
    schema = json.loads(text)
    components = {"triton:index:ModelBundle", "triton:index:TritonEnvironment", "triton:index:TritonService"}
    assert set(schema["resources"]) == {f"triton:index:{name}" for name in TYPES} | components
    assert {name for name, resource in schema["resources"].items() if resource.get("isComponent")} == components
    for resource in schema["resources"].values():
        assert resource["description"]
        assert set(resource["requiredInputs"]) <= set(resource["inputProperties"])
        assert set(resource["required"]) <= set(resource["properties"])
    secrets = {
        (name.rpartition(":")[2], key)
        for name, resource in schema["resources"].items()
        for key, described in resource["properties"].items()
        if described.get("secret")
    }
    assert secrets == {
        ("AccessKey", "given"),
        ("AccessKey", "key"),
        ("DockerFrontDoor", "clientKeys"),
        ("DockerFrontDoor", "primaryKey"),
        ("DockerFrontDoor", "secondaryKey"),
        ("NodePoolAddress", "kubeconfig"),
        ("NodePoolCheck", "key"),
        ("NodePoolCheck", "kubeconfig"),
        ("NodePoolCluster", "kubeconfig"),
        ("NodePoolPods", "kubeconfig"),
        ("NodePoolRollout", "kubeconfig"),
        ("ProcessFrontDoor", "clientKeys"),
        ("ProcessFrontDoor", "primaryKey"),
        ("ProcessFrontDoor", "secondaryKey"),
        ("SmokeCheck", "key"),
        ("TritonService", "clientKeys"),
        ("TritonService", "primaryKey"),
        ("TritonService", "secondaryKey"),
    }
    assert text == SCHEMA.read_text().rstrip("\n")
