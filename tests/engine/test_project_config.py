"""The project's own `config:`, which applies under every stack's: each case was seen of Pulumi's CLI."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from engine.errors import EngineError
from engine.state.project_config import ProjectConfig
from engine.state.stack_file import StackFile
from tests.engine.conftest import Stack

PATH = Path("Pulumi.yaml")


def settings(tmp_path: Path, project: str, stack: str = "{}") -> StackFile:
    path = tmp_path / "Pulumi.s.yaml"
    path.write_text(f"config: {stack}\n")
    return StackFile(path, "p", ProjectConfig.read(PATH, "p", yaml.safe_load(project)))


def test_a_stack_has_the_projects_values_where_it_has_none(tmp_path: Path) -> None:
    project = """
    plain: hello
    number: 12
    list: [1, two]
    value: {value: v}
    default: {type: integer, default: 5}
    p:over: {type: string, default: d}
    aws:region: west
    aws:object: {value: {a: 1}}
    """
    file = settings(tmp_path, project, "{over: mine}")
    assert file.configuration(str).values == {
        "p:plain": "hello",
        "p:number": "12",
        "p:list": '[1,"two"]',
        "p:value": "v",
        "p:default": "5",
        "p:over": "mine",
        "aws:region": "west",
        "aws:object": '{"a":1}',
    }
    assert file.get("list[1]", path=True) == "two"
    file.check("s", str)
    file.set("plain", "x")
    assert yaml.safe_load(file.path.read_text()) == {"config": {"over": "mine"}}  # until it is written
    file.write()
    assert yaml.safe_load(file.path.read_text()) == {"config": {"over": "mine", "p:plain": "x"}}


@pytest.mark.parametrize(
    ("project", "stack", "message"),
    [
        ("a: {type: string}", "{}", "Stack 's' is missing configuration value 'a'"),
        ("{a: {}, b: {description: x}, p:c: {}}", "{}", "is missing configuration values 'a', 'b' and 'p:c'"),
        ("a: {type: integer}", "{a: foo}", "with configuration key 'a' must be of type 'integer'"),
        ("a: {type: integer, value: x}", "{}", "must be of type 'integer'"),
        ("a: {type: boolean}", "{a: 'True'}", "must be of type 'boolean'"),
        ("a: {type: string}", "{a: [1]}", "must be of type 'string'"),
        ("a: {type: object}", "{a: [1]}", "must be of type 'object'"),
        ("a: {type: array, items: {type: string}}", "{a: [1]}", "must be of type 'array<string>'"),
        ("a: {type: string, secret: true}", "{a: x}", "must be encrypted as it's secret"),
    ],
)
def test_a_stack_that_is_not_as_declared_is_refused(tmp_path: Path, project: str, stack: str, message: str) -> None:
    with pytest.raises(EngineError) as error:
        settings(tmp_path, project, stack).check("s", str)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("project", "stack"),
    [
        ("a: {type: string}", "{a: 12}"),
        ("a: {type: integer}", "{a: '+1'}"),
        ("a: {type: boolean}", "{a: true}"),
        ("a: {type: array, items: {type: integer}}", "{a: [1, '2']}"),
        ("a: {type: array, items: {type: object}}", "{a: [{b: 1}]}"),
        ("a: {type: string, secret: true}", "{a: {secure: x}}"),
        ("a: {secret: true, default: x}", "{}"),
        ("aws:a: {description: x}", "{}"),
    ],
)
def test_a_stack_that_is_as_declared_is_taken(tmp_path: Path, project: str, stack: str) -> None:
    settings(tmp_path, project, stack).check("s", str)


@pytest.mark.parametrize(
    ("project", "message"),
    [
        ("[a]", "expected 'config:' with keys below it"),
        ("a: {default: x, value: y}", "'a' has both a value and a default"),
        ("a: {type: integer, default: x}", "'a' has a default that is not of its type 'integer'"),
        ("a: {type: number}", "'a' has the type 'number'; expected string"),
        ("a: {type: array}", "expected 'items' with a 'type'"),
        ("a: {foo: x}", "'a' is not a text, a whole number, true, false, a list or an object of type, items"),
        ("a: 1.5", "'a' is not a text, a whole number"),
        ("a:", "'a' is not a text, a whole number"),
        ("aws:a: {default: x}", "'aws:a' is not the project's own, and has a type or a default"),
        ("a.b: 1", "'a.b' is not a name that the embedded engine takes"),
        ("5: 1", "5 is not a name that the embedded engine takes"),
    ],
)
def test_a_declaration_that_the_cli_would_not_take_is_refused(project: str, message: str) -> None:
    with pytest.raises(EngineError) as error:
        ProjectConfig.read(PATH, "p", yaml.safe_load(project))
    assert message in str(error.value)


def test_what_runs_the_program_minds_the_projects_configuration(stack: Stack) -> None:
    project = stack.folder / "Pulumi.yaml"
    text = project.read_text()
    project.write_text(text + "config:\n  things:asked: {type: string}\n")
    for command in (["preview"], ["up", "--yes"], ["refresh", "--yes", "--run-program"]):
        assert "is missing configuration value 'things:asked'" in stack.engine(*command, status=1).err
    stack.engine("refresh", "--yes")
    project.write_text(text + "config:\n  things:asked: {default: given}\n")
    assert json.loads(stack.engine("preview", "--json").out)["config"]["things:asked"] == "given"
    assert "asked   given\n" in stack.engine("config").out
