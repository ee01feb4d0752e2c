"""A service's state is an enum in code, and the same text as ever for people, outputs and Pulumi's state."""

import json

import pytest
from google.protobuf import struct_pb2

from targets.role import Role
from targets.state import Measured, State, overall


@pytest.mark.parametrize(("state", "text"), [*zip(State, ("Healthy", "Unhealthy", "Stopped"), strict=True)])
def test_a_states_text_is_what_is_written(state: State, text: str) -> None:
    written = struct_pb2.Struct()
    written["state"] = state
    assert (str(state), f"{state}", json.loads(json.dumps(state)), written["state"]) == (text,) * 4
    assert State(text) is state
    assert state == text


def test_what_runs_is_healthy_where_nothing_is_wrong() -> None:
    assert Measured.of([]) == Measured(State.HEALTHY)
    assert Measured.of(iter(["a model is gone"])) == Measured(State.UNHEALTHY, ("a model is gone",))


@pytest.mark.parametrize(
    ("serving", "front_door", "state"),
    [
        ("Healthy", "Healthy", "Healthy"),
        ("Healthy", "Stopped", "Unhealthy"),
        ("Unhealthy", "Healthy", "Unhealthy"),
        ("Stopped", "Stopped", "Stopped"),
    ],
)
def test_a_service_is_healthy_where_its_servers_and_its_front_door_are(
    serving: str, front_door: str, state: str
) -> None:
    assert overall(serving, front_door) == overall(State(serving), State(front_door)) == state


def test_roles_come_in_the_order_in_which_they_start() -> None:
    assert [str(role) for role in Role.serving(triton=True, scorer=True)] == ["triton", "scorer"]
    assert Role.serving(triton=False, scorer=True) == ("scorer",)
