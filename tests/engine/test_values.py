"""Property values on the wire and in checkpoints, their differences, and secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.errors import EngineError
from engine.state.crypto import Crypter
from engine.state.diff import compare, format_path, keep_old, matches, parse_path
from engine.state.values import UNKNOWN, Asset, Reference, Secret, decode, encode, from_struct, mark_secrets, to_struct

VALUES: dict[str, Any] = {
    "none": None,
    "flag": True,
    "whole": 2**53 - 1,
    "fraction": 0.1,
    "text": 'naïve ☃ 𝄞 \\ "',
    "list": [1, [], {}, None],
    "secret": Secret({"key": ["value", Secret("nested")]}),
    "unknown": UNKNOWN,
    "asset": Asset("text", "content", "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"),
    "component": Reference("urn:pulumi:s::p::t::n"),
    "resource": Reference("urn:pulumi:s::p::t::n", "id"),
    "new resource": Reference("urn:pulumi:s::p::t::n", UNKNOWN),
}


def test_values_survive_the_wire() -> None:
    assert from_struct(to_struct(VALUES)) == VALUES


def test_values_survive_a_checkpoint(crypter: Crypter) -> None:
    stored = encode(VALUES, crypter.encrypt)
    assert "nested" not in str(stored)
    assert decode(stored, crypter.decrypt) == VALUES


def test_a_secret_within_a_secret_is_encrypted_once_as_the_cli_does_it(crypter: Crypter) -> None:
    value = {"outer": Secret({"inner": Secret("nested")})}
    (stored,) = encode(value, crypter.encrypt).values()
    assert json.loads(crypter.decrypt(stored["ciphertext"]))["inner"]["ciphertext"] == '"nested"'
    inner = {**stored, "ciphertext": crypter.encrypt('"nested"')}
    twice = {**stored, "ciphertext": crypter.encrypt(json.dumps({"inner": inner}))}  # by older versions of the engine
    assert decode({"outer": twice}, crypter.decrypt) == decode({"outer": stored}, crypter.decrypt) == value


def test_what_a_provider_does_not_take_is_reduced() -> None:
    values = {"secret": Secret("s"), "resource": Reference("urn", "id"), "component": Reference("urn"), "gone": UNKNOWN}
    reduced = from_struct(to_struct(values, secrets=False, references=False, unknowns=False))
    assert reduced == {"secret": "s", "resource": "id", "component": "urn"}


def test_results_are_as_secret_as_their_sources() -> None:
    results = {"a": 1, "b": {"c": 2, "d": 3}, "e": [4], "f": 5}
    sources = {"a": Secret(1), "b": {"c": Secret(2), "d": 3}, "e": [Secret(4)], "g": Secret(6)}
    marked = mark_secrets(results, sources)
    assert marked == {"a": Secret(1), "b": {"c": Secret(2), "d": 3}, "e": Secret([4]), "f": 5}


def test_a_wrong_passphrase_and_a_damaged_secret_are_told_apart(crypter: Crypter) -> None:
    crypter.verify()
    with pytest.raises(EngineError, match="incorrect passphrase"):
        Crypter("other", crypter.state).verify()
    with pytest.raises(EngineError, match="damaged"):
        crypter.decrypt("v1:not base64")
    with pytest.raises(EngineError, match="encryptionsalt is damaged"):
        Crypter("any", "v2:?")


def test_the_clis_own_ciphertext_is_read() -> None:
    salt = "v1:G77cSaOM668=:v1:Q+r8dWoFXsYJgrBh:xaquW4TFdDIYy4dnCmoEjVozkHblOw=="
    Crypter("x", salt).verify()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1}, {"a": 1, "b": None}, {}),
        ({"a": Secret(1)}, {"a": 1}, {}),
        ({"a": 1}, {"a": True}, {"a": "update"}),
        ({"a": {"b": 1}}, {"a": {"c": 1}}, {"a.b": "delete", "a.c": "add"}),
        ({"a": [1, 2]}, {"a": [1, 3, 4]}, {"a[1]": "update", "a[2]": "add"}),
        ({"a.b": 1}, {}, {'["a.b"]': "delete"}),
    ],
)
def test_a_difference_names_every_place(old: dict[str, Any], new: dict[str, Any], expected: dict[str, str]) -> None:
    assert compare(old, new).detailed == expected


@pytest.mark.parametrize("text", ["a", "a.b[0].c", 'a["b.c"]', '["x y"].z', "a[*]"])
def test_a_path_is_read_as_it_is_written(text: str) -> None:
    assert parse_path(text)
    assert "*" in text or parse_path(format_path(parse_path(text))) == parse_path(text)


def test_old_values_are_kept_under_a_path() -> None:
    old = {"a": {"b": 1, "c": 2}, "list": [{"k": 1}, {"k": 2}]}
    new = {"a": {"b": 3, "c": 4}, "list": [{"k": 5}, {"k": 6}, {"k": 7}]}
    kept = keep_old(old, new, ["a.b", "list[*].k"])
    assert kept == {"a": {"b": 1, "c": 4}, "list": [{"k": 1}, {"k": 2}, {"k": 7}]}
    assert matches("a.*", "a.b.c")
    assert not matches("a.b", "a")
