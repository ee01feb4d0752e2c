import json
from collections.abc import Callable
from pathlib import Path

import pytest

from operate.__main__ import main

KEYS = {
    "primaryKey": "one",
    "secondaryKey": "two",
    "clientKeys": {"checkout": {"primary": "three", "secondary": "four"}, "batch": {"primary": "5", "secondary": "6"}},
}


@pytest.fixture
def key(tmp_path: Path) -> Callable[..., int]:
    def run(outputs: dict[str, object], *arguments: str) -> int:
        engine = tmp_path / "engine"
        engine.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(outputs)}\nEND\n")
        engine.chmod(0o755)
        return main(["key", "--stack", "local", "--engine", str(engine), *arguments])

    return run


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ((), "one"),
        (("--which=secondary",), "two"),
        (("--client=checkout",), "three"),
        (("--client=checkout", "--which=secondary"), "four"),
    ],
)
def test_a_key_is_printed_alone(
    key: Callable[..., int], capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], printed: str
) -> None:
    assert key(KEYS, *arguments) == 0
    assert capsys.readouterr() == (f"{printed}\n", "")


@pytest.mark.parametrize(
    ("outputs", "arguments", "said"),
    [
        (KEYS, ("--which=third",), "KEY is 'third': expected primary or secondary"),
        (KEYS, ("--client=chekout",), "no key for a client 'chekout': expected one of batch, checkout"),
        ({"primaryKey": "one"}, ("--client=checkout",), "no client of it has keys"),
        ({"state": "Healthy"}, (), "its front door asks for none (deployment.authEnabled)"),
        ({}, (), "deploy it: make up STACK=local"),
    ],
)
def test_a_key_that_is_not_there_is_told(
    key: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    outputs: dict[str, object],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    assert key(outputs, *arguments) == 1
    shown = capsys.readouterr()
    assert (shown.out, said in shown.err, "three" in shown.err) == ("", True, False)
