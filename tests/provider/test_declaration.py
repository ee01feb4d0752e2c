"""Resources as a program declares them, with Pulumi's engine mocked."""

import asyncio

import pulumi
import pytest
from pulumi.runtime import mocks
from pulumi.runtime.stack import run_pulumi_func
from pulumi.runtime.sync_await import _sync_await

from provider.resources.access_key import AccessKey
from provider.resources.machine_service import MachineFrontDoor
from provider.resources.node_pool_pods import NodePoolPods
from provider.resources.registered_model import RegisteredModel
from settings.schema import Target
from settings.service_groups import Limits, Opening, Resources

MODEL = {
    "registry": "/registry",
    "cache": "",
    "name": "m",
    "source": "/models",
    "digest": "d",
    "framework": "Multi",
    "tags": {"Team": "vision", "two_words": "as they are"},
    "description": "",
}
DOOR = {
    "service_name": "web",
    "owner": "o",
    "state_directory": "/state",
    "shape": ["triton"],
    "opening": Opening(port=6790),
    "limits": Limits(),
    "resources": Resources(),
    "primary_key": "p",
    "secondary_key": "s",
}
KNOWN = {
    "RegisteredModel": {"version": 7.0, "path": "/registry/m/7", "models": [{"name": "digits", "versions": [1.0]}]},
    "ProcessFrontDoor": {"state": "Healthy", "problems": [], "metricsPort": 6790.0},
    "AccessKey": {"key": "k"},
}


def front_door() -> MachineFrontDoor:
    return MachineFrontDoor(Target.PROCESS, "door", DOOR, pulumi.ResourceOptions())


class Engine(mocks.Mocks):
    """Answers as the provider does, and keeps what was asked."""

    def __init__(self):
        self.asked = {}

    def call(self, args):
        raise AssertionError(f"nothing is invoked, {args.token} is")

    def new_resource(self, args):
        self.asked[args.name] = args
        return "id", {**args.inputs, **KNOWN.get(args.typ.rpartition(":")[2], {})}


@pytest.fixture
def declare():
    """Declare resources by a function that gives outputs by name; gives their values and the engine."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    def run(function):
        engine, values = Engine(), {}
        mocks.set_mocks(engine, project="triton-serving", stack="test", preview=False)

        async def resolve():
            for name, output in (function() or {}).items():
                values[name] = await output.future()

        _sync_await(run_pulumi_func(lambda: _sync_await(resolve())))
        return values, engine.asked

    yield run
    loop.close()
    asyncio.set_event_loop(None)


def test_inputs_go_under_their_names_on_the_wire_to_the_type_of_the_class(declare):
    _, asked = declare(lambda: front_door() and None)
    assert asked["door"].typ == "triton:index:ProcessFrontDoor"
    assert set(asked["door"].inputs) == {
        "serviceName",
        "owner",
        "stateDirectory",
        "shape",
        "opening",
        "limits",
        "resources",
        "primaryKey",
        "secondaryKey",
    }


def test_a_model_goes_by_its_names_on_the_wire_without_what_is_none(declare):
    _, asked = declare(lambda: front_door() and None)
    assert asked["door"].inputs["opening"] == {
        "authEnabled": True,
        "port": 6790,
        "public": False,
        "accessLog": False,
    }


def test_keys_of_a_mapping_stay_as_the_user_wrote_them(declare):
    _, asked = declare(lambda: RegisteredModel("model", MODEL) and None)
    assert asked["model"].inputs["tags"] == MODEL["tags"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"colour": "red"}, r"RegisteredModel 'model': unknown inputs \['colour'\], missing inputs \[\]"),
        ({"serviceName": "web"}, r"unknown inputs \['serviceName'\]"),
        ({"digest": ...}, r"unknown inputs \[\], missing inputs \['digest'\]"),
    ],
)
def test_an_unknown_or_a_missing_input_is_refused_where_it_is_declared(declare, changed, words):
    inputs = {name: value for name, value in {**MODEL, **changed}.items() if value is not ...}

    def declared():
        with pytest.raises(TypeError, match=words):
            RegisteredModel("model", inputs)

    assert declare(declared)[1] == {}


def test_an_input_with_a_default_may_be_missing(declare):
    _, asked = declare(lambda: AccessKey("key", {"edition": 1}) and None)
    assert asked["key"].inputs == {"edition": 1}


def test_outputs_are_found_by_the_names_of_their_fields_and_integers_are_integers(declare):
    def declared():
        model, door = RegisteredModel("model", MODEL), front_door()
        return {"version": model.version, "models": model.models, "port": door.metrics_port, "state": door.state}

    values, _ = declare(declared)
    assert values == {
        "version": 7,
        "models": [{"name": "digits", "versions": [1]}],
        "port": 6790,
        "state": "Healthy",
    }
    assert (type(values["version"]), type(values["port"])) == (int, int)


def test_inputs_are_outputs_too(declare):
    values, _ = declare(lambda: {"framework": RegisteredModel("model", MODEL).framework})
    assert values == {"framework": "Multi"}


def test_an_attribute_that_is_none_is_named(declare):
    def declared():
        key = AccessKey("key", {"edition": 1})
        with pytest.raises(AttributeError, match="AccessKey has no output 'colour'"):
            key.colour  # noqa: B018

    declare(declared)


def test_a_resource_without_outputs_is_one_too(declare):
    pods = {"context": "", "namespace": "n", "service": "s", "labels": {"app": "s"}, "grace_seconds": 30}
    _, asked = declare(lambda: NodePoolPods("pods", pods, pulumi.ResourceOptions()) and None)
    assert asked["pods"].inputs["graceSeconds"] == 30
