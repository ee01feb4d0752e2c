"""What is written about settings comes from their types: the table in docs/ and the JSON Schema of stack files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from settings.reference import files, rows

PROJECT = Path(__file__).parents[2]
SCHEMA = json.loads((PROJECT / "stacks/schema.json").read_text())
STACKS = sorted((PROJECT / "stacks").glob("Pulumi.*.yaml"))


def problems(config: dict[str, Any]) -> list[str]:
    """List what the schema finds wrong with the settings of a stack's file."""
    validator = jsonschema.Draft7Validator(SCHEMA)
    return [error.message for error in validator.iter_errors({"config": config})]


def minimal(**settings: Any) -> dict[str, Any]:
    """Give the settings of a stack's file: one model and further settings."""
    return {"triton-serving:models": ["triton_model:1"], **{f"triton-serving:{key}": v for key, v in settings.items()}}


@pytest.mark.parametrize("path", list(files()), ids=str)
def test_what_is_written_is_what_the_types_say(path: Path) -> None:
    assert (PROJECT / path).read_text() == files()[path], "stale: python -m settings.reference"


def test_every_setting_has_a_meaning_of_its_own_line() -> None:
    assert [row.path for row in rows() if not row.description] == []
    assert len({row.path for row in rows()}) == len(rows())


@pytest.mark.parametrize("stack", STACKS, ids=lambda path: path.name)
def test_every_stack_is_valid_and_names_the_schema_for_editors(stack: Path) -> None:
    text = stack.read_text()
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    assert list(jsonschema.Draft7Validator(SCHEMA).iter_errors(yaml.safe_load(text))) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"deployment": {"cpuCore": 1}}, "'cpuCore' was unexpected"),
        ({"deployment": {"target": "kubernetes"}}, "'kubernetes' is not one of ['process', 'docker', 'node-pool']"),
        ({"deployment": {"port": "x"}}, "'x' is not of type 'integer'"),
        ({"primaryKey": "in plain text"}, "'in plain text' is not of type 'object'"),
        ({"nodePool": {"exposure": {"kind": "public"}}}, "'public' is not one of"),
        ({"modells": []}, "does not match any of the regexes"),
    ],
)
def test_an_editor_marks_mistakes(settings: dict[str, Any], message: str) -> None:
    assert any(message in problem for problem in problems(minimal(**settings)))


def test_an_editor_takes_what_the_program_takes() -> None:
    config = minimal(
        deployment={"target": "node-pool", "cpuCores": 0.5},
        environment={"variables": {"WORKER_COUNT": 2}},
        primaryKey={"secure": "v1:x"},
    )
    assert problems({**config, "aws:region": "eu-west-1"}) == []
