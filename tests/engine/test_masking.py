"""Secrets are hidden in whatever is shown, in every form that they may take there."""

from __future__ import annotations

import json

import pytest

from engine.cli.masking import Mask
from tests.engine.conftest import Stack

PEM = 'first line\n"second" ünd\n'


@pytest.mark.parametrize("form", [PEM, json.dumps(PEM), json.dumps(PEM, ensure_ascii=False), repr(PEM), f"> {PEM}\n>"])
def test_a_secret_of_several_lines_is_hidden_whole(form: str) -> None:
    shown = Mask([PEM]).text(f"it is {form}!")
    assert "line" not in shown
    assert "second" not in shown
    assert "[secret]" in shown


def test_each_line_that_comes_on_its_own_is_hidden() -> None:
    assert [Mask([PEM]).text(line) for line in PEM.splitlines()] == ["[secret]"] * 2


def test_a_secret_within_another_does_not_break_it_up() -> None:
    assert Mask(["word", "pass-word-1"]).text("pass-word-1 and word") == "[secret] and [secret]"


def test_values_keep_their_shape() -> None:
    assert Mask(["key"]).value({"a": ["the key", 1, None]}) == {"a": ["the [secret]", 1, None]}


@pytest.mark.parametrize("command", [["preview", "--diff"], ["preview", "--json"], ["up", "--yes", "--diff"]])
def test_a_secret_within_an_object_of_the_configuration_is_hidden(stack: Stack, command: list[str]) -> None:
    text = 'buried "secret"\nof two lines'
    stack.declare({"a": {"kind": "x", "value": f"it is {text}", "export": True, "print": text}})
    settings = stack.settings.read_text()
    stack.settings.write_text(f"{settings}  things:deep:\n    list:\n    - secure: {stack.encrypt(text)}\n")
    result = stack.engine(*command)
    assert "buried" not in result.out
    assert "two lines" not in result.out
    assert "[secret]" in result.out
