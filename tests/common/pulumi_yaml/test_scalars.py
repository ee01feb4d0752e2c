"""YAML's scalars are what Pulumi's CLI takes them for: each pair below was seen of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from common import pulumi_yaml

NUMBERS = {
    "0123": 83,
    "-0123": -83,
    "00": 0,
    "089": 89,
    "08.5": 8.5,
    "0o17": 15,
    "-0O17": -15,
    "0x1F": 31,
    "0x_1F": 31,
    "+0x1F": 31,
    "0b101": 5,
    "-0B11": -3,
    "1_000": 1000,
    "1_": 1,
    "1_0.5": 10.5,
    ".5_5": 0.55,
    "+5": 5,
    "1e3": 1000,
    "1.e3": 1000,
    "1.": 1,
    "1.0": 1,
    "-0.0": 0,
    "1e-400": 0,
    "-.5e-3": -0.0005,
    "18446744073709551615": 18446744073709551615,
    "18446744073709551616": 18446744073709552000,
    "-9223372036854775809": -9223372036854776000,
    "12345678901234567.0": 12345678901234568,
    "1e20": 100000000000000000000,
    "!!float 1": 1,
    '!!int "0123"': 83,
}
TIMES = {
    "2020-01-02": "2020-01-02 00:00:00 +0000 UTC",
    "2020-1-2": "2020-01-02 00:00:00 +0000 UTC",
    "2020-01-02 3:4:5.250": "2020-01-02 03:04:05.25 +0000 UTC",
    "2020-01-02T03:04:05Z": "2020-01-02 03:04:05 +0000 UTC",
    "2020-01-02T03:04:05+02:00": "2020-01-02 03:04:05 +0200 +0200",
    "2020-01-02T03:04:05-05:30": "2020-01-02 03:04:05 -0530 -0530",
}
TEXTS = [
    *(
        "on",
        "yes",
        "1:30",
        "190:20:30",
        "0x",
        "0o8",
        "0b12",
        "_1",
        "._5",
        "1e",
        "1e400",
        "inf",
        "nan",
        "=",
        "1-2",
        "089x",
    ),
    *("2020-13-01", "2020-02-30", "2020-01-02T03:04:05", "2020-01-02 03:04:05Z", "2020-01-02 03:04", "0x1p-2"),
]


@pytest.mark.parametrize(("text", "value"), [*NUMBERS.items(), *TIMES.items(), *((text, text) for text in TEXTS)])
def test_a_scalar_is_what_the_cli_takes_it_for(text: str, value: object) -> None:
    found = pulumi_yaml.load(f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", "!!int x", "!!float 1e400"])
def test_a_number_that_no_configuration_can_hold_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="a text goes in quotes"):
        pulumi_yaml.load(f"a: {text}")


@pytest.mark.parametrize("text", [*NUMBERS, *TIMES, *TEXTS, ".inf", "~", "", "true", "<<", "0123 ", " 1"])
def test_a_text_that_is_written_is_read_as_that_text(text: str) -> None:
    assert pulumi_yaml.load(pulumi_yaml.dump({"a": [text]})) == {"a": [text]}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.1, "0.1"),
        (1.5e-5, "0.000015"),
        (1e-7, "1e-7"),
        (-1e-10, "-1e-10"),
        (1.25e-100, "1.25e-100"),
        (1.5e21, "1.5e+21"),
        (12345678.9, "12345678.9"),
    ],
)
def test_a_number_is_passed_on_as_the_cli_writes_it(number: float, text: str) -> None:
    assert pulumi_yaml.decimal(number) == text
    value: Any = json.loads(text)
    assert value == number
