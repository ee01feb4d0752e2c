"""What is read of a preview's JSON."""

import json

import pytest

from policies.configuration import PolicyError
from policies.preview import previewed
from policies.stack import Mark

URN = "urn:pulumi:s::p::triton:index:Gateway$triton:index:ProcessFrontDoor::gateway"


def step(op, urn=URN, **inputs):
    return {"op": op, "urn": urn, "newState": {"urn": urn, "type": "triton:index:ProcessFrontDoor", "inputs": inputs}}


def read(*steps, **more):
    return previewed("s", json.dumps({"steps": steps, "changeSummary": {}, **more}))


@pytest.mark.parametrize("op", ["create", "update", "same", "replace", "create-replacement", "read"])
def test_a_resource_is_what_the_update_makes_of_it(op):
    (found,) = read(step(op, public=True)).resources
    assert (found.name, found.kind, found.props) == ("gateway", "ProcessFrontDoor", {"public": True})
    assert found.types == ["triton:index:Gateway", "triton:index:ProcessFrontDoor"]


def test_a_resource_that_goes_is_none():
    gone = {"op": "delete", "urn": URN, "oldState": {"urn": URN, "type": "t", "inputs": {}}}
    assert read(gone, step("delete-replaced")).resources == []


def test_a_replaced_resource_is_one():
    (found,) = read(step("replace", port=1), step("create-replacement", port=2)).resources
    assert found.props == {"port": 2}


def test_unknown_and_hidden_values_are_marked():
    unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
    (found,) = read(step("create", key="[secret]", tree={"list": [unknown, "x"]})).resources
    assert found.props == {"key": Mark.HIDDEN, "tree": {"list": [Mark.UNKNOWN, "x"]}}


def test_a_preview_that_failed_is_told():
    failed = {"message": "error: tls is required\n", "severity": "error"}
    with pytest.raises(PolicyError) as raised:
        read(diagnostics=[{"message": "x", "severity": "warning"}, failed])
    told = "the preview of stack 's' failed, so nobody checked its policies:\nerror: tls is required"
    assert str(raised.value) == told


@pytest.mark.parametrize("text", ["", "{}"])
def test_no_preview_is_told(text):
    with pytest.raises(PolicyError, match="stack 's'"):
        previewed("s", text)
