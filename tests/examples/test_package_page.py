"""The page on programs of one's own: its three programs give the package what the package takes, and the same."""

import ast
import json
import re
from typing import Any

import yaml
from pydantic.alias_generators import to_camel

from tests.e2e.project import SOURCE
from tests.examples.page import Page

SCHEMA = json.loads((SOURCE / "tests" / "provider" / "schema.json").read_text(encoding="utf-8"))
COMPONENTS = ("ModelBundle", "TritonEnvironment", "TritonService")
PAGE = Page("package.md")


def python_inputs() -> dict[str, dict[str, Any]]:
    """Each component's inputs in the page's Python program, by their names on the wire; groups are dictionaries."""
    (program,) = PAGE.blocks("python")
    calls = [node for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Call)]
    return {
        call.func.id: {to_camel(str(given.arg)): value_of(given.value) for given in call.keywords}
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id in COMPONENTS
    }


def value_of(node: ast.expr) -> Any:
    """A literal, with the names of a group's settings on the wire; the text of anything else."""
    if isinstance(node, ast.Dict):
        keys = [to_camel(str(key.value)) for key in node.keys if isinstance(key, ast.Constant)]
        return dict(zip(keys, map(value_of, node.values), strict=True))
    return node.value if isinstance(node, ast.Constant) else ast.unparse(node)


def yaml_inputs() -> dict[str, dict[str, Any]]:
    (program,) = PAGE.blocks("yaml")
    resources = yaml.safe_load(program)["resources"].values()
    return {
        resource["type"].removeprefix("triton:"): resource["properties"]
        for resource in resources
        if resource["type"].startswith("triton:")
    }


def typescript_inputs() -> dict[str, set[str]]:
    """Each component's inputs in the page's first TypeScript program, groups' settings among them."""
    program = PAGE.blocks("typescript")[0]
    found = re.findall(r"new triton\.(\w+)\(\"[\w-]+\", \{(.*?)\}\);", program, re.DOTALL)
    return {component: set(re.findall(r"(?:^|[{,])\s*(\w+)\s*(?=[:,])", body)) for component, body in found}


def unknown(given: dict[str, Any], taken: dict[str, Any]) -> list[str]:
    """The inputs that the schema does not have, those of groups too."""
    found = [name for name in given if name not in taken]
    for name in set(given) & set(taken):
        group = SCHEMA["types"].get(taken[name].get("$ref", "").removeprefix("#/types/"))
        if group is not None and isinstance(given[name], dict):
            found += [f"{name}.{setting}" for setting in unknown(given[name], group["properties"])]
    return found


def test_the_package_takes_what_the_programs_give() -> None:
    for program in (python_inputs(), yaml_inputs()):
        assert set(program) == set(COMPONENTS)
        for component, given in program.items():
            assert unknown(given, SCHEMA["resources"][f"triton:index:{component}"]["inputProperties"]) == []


def test_the_programs_declare_the_same_service() -> None:
    in_python, in_yaml = python_inputs(), yaml_inputs()
    assert in_python["TritonService"]["deployment"] == in_yaml["TritonService"]["deployment"]
    for component in COMPONENTS:
        named = set(in_yaml[component]) - {"name", "serviceName"}  # by default the resource's name in other languages
        assert set(in_python[component]) == named
        groups = {setting for value in in_python[component].values() if isinstance(value, dict) for setting in value}
        settings = {to_camel(setting) for setting in groups}
        assert typescript_inputs()[component] - settings - {"area", "WORKER_COUNT"} == named


def test_the_words_of_a_preview_that_waits_are_the_component_s() -> None:
    source = (SOURCE / "components" / "plain_inputs.py").read_text(encoding="utf-8")
    assert "checked and shown at `up` alone, when {', '.join(unknown)} is known" in source
    assert "checked and shown at `up` alone, when image is known" in PAGE.text
