"""Checkpoints read and written, and the state while an operation changes it."""

from __future__ import annotations

import copy
import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EngineError
from engine.providers.builtin import STACK_REFERENCE, Builtin
from engine.state.backend import Backend, Stack
from engine.state.checkpoint import (
    STACK_TYPE,
    Resource,
    State,
    decode_resource,
    encode_resource,
    make_urn,
    read_deployment,
    write_checkpoint,
    write_deployment,
)
from engine.state.snapshot import Snapshot
from engine.state.values import SIGNATURE, Secret

STACK = make_urn("s", "p", "", "pulumi:pulumi:Stack", "p-s")
GROUP = make_urn("s", "p", STACK, "test:index:Group", "g")
THING = make_urn("s", "p", GROUP, "test:index:Thing", "t")
FIELDS: dict[str, Any] = {"urn": THING, "custom": True, "type": "test:index:Thing", "id": "1", "parent": GROUP}


def read(*resources: dict[str, Any], version: int = 3, **rest: Any) -> State:
    return read_deployment(version, {"resources": list(resources), **rest}, lambda _salt: str)


def test_a_childs_urn_names_its_parents_type_but_not_the_stacks() -> None:
    assert THING == "urn:pulumi:s::p::test:index:Group$test:index:Thing::t"
    assert GROUP == "urn:pulumi:s::p::test:index:Group::g"


def test_fields_that_this_engine_does_not_know_are_kept() -> None:
    fields = {**FIELDS, "taint": True, "stackTrace": [{"sourcePosition": "project:///__main__.py#1"}]}
    assert encode_resource(decode_resource(fields, str), str) == fields


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resources": [FIELDS]}, "does not precede it"),
        ({"resources": [{**FIELDS, "parent": ""}] * 2}, "is in it twice"),
        ({"resources": [{"urn": THING}]}, "not as Pulumi writes it"),
        ({"resources": [], "version": 2}, "format version 2"),
        ({"resources": [], "secrets_providers": {"type": "cloud"}}, "held by 'cloud'"),
    ],
)
def test_a_state_that_cannot_be_used_is_refused(arguments: dict[str, Any], message: str) -> None:
    resources = arguments.pop("resources")
    with pytest.raises(EngineError, match=message):
        read(*resources, **arguments)


def test_nulls_stand_for_what_is_left_out() -> None:
    fields = {**FIELDS, "parent": None, "dependencies": None, "propertyDependencies": {"x": None}, "inputs": None}
    (found,) = read(fields).resources
    assert (found.parent, found.dependencies, found.property_dependencies) == ("", (), {"x": []})


CHECKPOINT = json.loads((Path(__file__).parent / "data/checkpoint-1.json").read_text())
WRONG: tuple[Any, ...] = (None, 5, "x", True, [], {}, [1], [None], {"x": None}, {"x": 1}, [[]], 1.5, "a::b")


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


def complaint(stack: Stack) -> str:
    """What reading the stack's state says is wrong, empty where it can be read."""
    try:
        found = stack.read()
        state = read_deployment(found["version"], found["deployment"], lambda _salt: lambda _text: '"s"')
    except EngineError as error:
        return str(error)
    for item in state.resources:
        json.dumps(encode_resource(item, str))
    return ""


def test_whatever_is_wrong_with_a_checkpoint_is_an_error_of_one_line(tmp_path: Path) -> None:
    stack = Backend(f"file://{tmp_path}", tmp_path).stack("things", "s")
    stack.checkpoint.parent.mkdir(parents=True)
    places = [path for path in _places(CHECKPOINT) if len(path) < 8]
    rng = random.Random(12)
    complaints = 0
    for path in places:
        for wrong in rng.sample(WRONG, 4):
            document = copy.deepcopy(CHECKPOINT)
            parent = document
            for key in path[:-1]:
                parent = parent[key]
            parent[path[-1]] = wrong
            stack.checkpoint.write_text(json.dumps(document))
            found = complaint(stack)
            assert "\n" not in found
            complaints += bool(found)
    assert complaints > len(places)


def resource(name: str, **fields: Any) -> Resource:
    return Resource(make_urn("s", "p", "", "test:index:Thing", name), "test:index:Thing", **fields)


def names(deployment: str) -> list[str]:
    return [item["urn"].split("::")[-1] for item in json.loads(deployment).get("resources", [])]


def test_every_state_written_on_the_way_is_whole() -> None:
    a, b, c = resource("a"), resource("b"), resource("c")
    b = replace(b, dependencies=(a.urn,))
    c = replace(c, dependencies=(b.urn,))
    written: list[str] = []
    snapshot = Snapshot(State((a, b, c)), str, "", lambda text, _features: written.append(text))
    snapshot.done(replace(a, id="2"), a)
    snapshot.begin("updating", b)
    snapshot.done(replace(b, id="2"), b, begun=b)
    snapshot.remove(c)
    snapshot.close()
    assert [names(text) for text in written] == [["a", "b", "c"]] * 3 + [["a", "b"]]
    assert [len(json.loads(text).get("pending_operations", [])) for text in written] == [0, 1, 0, 0]
    for text in written:
        read_deployment(3, json.loads(text), lambda _salt: str)


def test_a_renamed_resource_is_followed_by_those_not_yet_reached_from_when_it_is_done() -> None:
    old, child = resource("old"), replace(resource("child"), parent=resource("old").urn)
    written: list[str] = []
    snapshot = Snapshot(State((old, child)), str, "", lambda text, _features: written.append(text))
    snapshot.begin("updating", old)
    new = resource("new")
    snapshot.done(new, old, begun=old)
    snapshot.close()
    for text in written:
        read_deployment(3, json.loads(text), lambda _salt: str)
    assert [json.loads(text)["resources"][1]["parent"] for text in written] == [old.urn, new.urn]


def test_nothing_refers_to_what_has_vanished_whatever_comes_after() -> None:
    a, b, c = resource("a"), resource("b"), resource("c")
    b, c = replace(b, dependencies=(a.urn,)), replace(c, property_dependencies={"k": [a.urn, b.urn]})
    written: list[str] = []
    snapshot = Snapshot(State((a, b, c)), str, "", lambda text, _features: written.append(text))
    snapshot.exchange(b, changed := replace(b, id="2"))
    snapshot.vanish(a)
    snapshot.exchange(changed, replace(changed, id="3"))
    snapshot.settle([])
    snapshot.close()
    assert [names(text) for text in written] == [["a", "b", "c"]] + [["b", "c"]] * 3
    for text in written:
        read_deployment(3, json.loads(text), lambda _salt: str)


@pytest.mark.parametrize(
    ("number", "bits"), [("nan", "7ff8000000000000"), ("inf", "7ff0000000000000"), ("-inf", "fff0000000000000")]
)
def test_a_number_that_json_has_no_word_for_is_written_as_the_cli_writes_it(number: str, bits: str) -> None:
    written: list[str] = []
    snapshot = Snapshot(State(), str, "", lambda text, _features: written.append(text))
    snapshot.done(resource("b", outputs={"x": [float(number), 1.5], "y": Secret(float(number))}))
    snapshot.close()
    (fields,) = json.loads(written[-1])["resources"]
    marked = {SIGNATURE: "8ad145fe-0d11-4827-bfd7-1abcbf086f5c", "value": bits}
    assert fields["outputs"]["x"] == [marked, 1.5]
    assert json.loads(fields["outputs"]["y"]["ciphertext"]) == marked
    found = read_deployment(3, json.loads(written[-1]), lambda _salt: str).resources[0].outputs
    assert [str(found["x"][0]), found["x"][1], str(found["y"].value)] == [number, 1.5, number]


def test_one_write_serves_all_who_wait() -> None:
    gate, written = threading.Event(), list[str]()

    def journal(deployment: str, _features: tuple[str, ...]) -> None:
        gate.wait(10)
        written.append(deployment)

    snapshot = Snapshot(State(), str, "", journal)
    with ThreadPoolExecutor(50) as pool:
        futures = [pool.submit(snapshot.done, resource(f"r{number}")) for number in range(50)]
        gate.set()
        for future in futures:
            future.result(10)
    snapshot.close()
    assert len(names(written[-1])) == 50
    assert len(written) < 50


def test_a_write_that_fails_fails_everyone() -> None:
    def journal(deployment: str, _features: tuple[str, ...]) -> None:
        raise EngineError("disk full")

    snapshot = Snapshot(State(), str, "", journal)
    for number in range(2):
        with pytest.raises(EngineError, match="disk full"):
            snapshot.done(resource(f"r{number}"))
    with pytest.raises(EngineError, match="disk full"):
        snapshot.close()


def test_another_stacks_outputs_are_read_with_what_is_secret_within_them(tmp_path: Path) -> None:
    place = Backend.open(f"file://{tmp_path}", tmp_path).stack("p", "other")
    place.write(write_checkpoint(place.full_name, write_deployment((), (), "")))
    outputs = {"plain": 1, "nested": {"key": Secret("k3y"), "name": "n"}, "whole": Secret({"a": 1})}
    state = State((Resource("urn:pulumi:other::p::pulumi:pulumi:Stack::p-other", STACK_TYPE, outputs=outputs),))
    urn = f"urn:pulumi:s::p::{STACK_REFERENCE}::other"
    found = Builtin(lambda _: place, lambda _: state).read(urn, "other", {"name": "other"}, {})
    assert found.outputs == {"name": "other", "outputs": outputs, "secretOutputNames": ["nested", "whole"]}


def test_a_backends_folder_is_made_within_the_project_alone(tmp_path: Path) -> None:
    project = tmp_path / "project"
    with pytest.raises(EngineError, match="does not exist: mount it, or make it where it is new"):
        Backend.open(f"file://{tmp_path}/away", project)
    assert Backend.open(f"file://{project}/.var/backend", project).root.is_dir()
