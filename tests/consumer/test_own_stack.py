"""The consumer beside this program's own stack, whose outputs it takes by their real names."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.project import project

SCRIPT = """\
import json


def init(): ...


def run(data):
    return json.loads(data)["context"].split()[-1:]
"""


def test_it_asks_the_service_that_this_program_deployed(tmp_path: Path) -> None:
    with project(tmp_path / "project") as service:
        service.write_script(SCRIPT)
        service.write_settings(models=[{"path": "scripts", "name": "m", "framework": "Custom"}], entryScript="score.py")
        service.up()
        consumer = ("--cwd", "examples/consumer")
        stack = ("--stack", "dev")
        for command in (
            ("stack", "init", "dev"),
            ("config", "set", *stack, "service", f"organization/triton-serving/{service.stack}"),
            ("up", *stack, "--yes", "--skip-preview"),
        ):
            result = service.engine(*consumer, *command)
            assert result.code == 0, result.text
        assert service.engine(*consumer, "stack", "output", *stack, "answer").text == "dog.\n"
        assert service.engine(*consumer, "stack", "output", *stack, "model").text == "m:1\n"
