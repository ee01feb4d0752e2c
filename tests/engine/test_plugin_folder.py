"""A provider in a folder of the project, which `Pulumi.yaml` names by its path."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.errors import EngineError
from engine.state.project import Project
from tests.engine.conftest import Stack
from tests.engine.goals import CLI_ENVIRONMENT
from tests.engine.test_interchange import NOT_COMPARED

PULUMI = shutil.which("pulumi")
MANIFEST = {"runtime": {"name": "python", "options": {"toolchain": "pip", "virtualenv": "../.venv"}}}
NOTE = """\
import json, os, runpy, sys
with open("started", "a") as started:
    started.write(json.dumps([sys.executable, os.getcwd(), sys.argv]) + "\\n")
runpy.run_path("plugin/pulumi-resource-fake", run_name="__main__")
"""


def own_provider(stack: Stack, manifest: Any = MANIFEST) -> Path:
    """Makes the plugin `fake` a provider of the project's own; its folder."""
    project = {
        "name": "things",
        "runtime": {"name": "python", "options": {"toolchain": "pip", "virtualenv": ".venv"}},
        "plugins": {"providers": [{"name": "fake", "path": "own"}]},
    }
    (stack.folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
    folder = stack.folder / "own"
    folder.mkdir()
    (folder / "PulumiPlugin.yaml").write_text(yaml.safe_dump(manifest))
    (folder / "__main__.py").write_text(NOTE)
    stack.environment["FAKE_HANDSHAKE"] = "1"
    return folder


def declare(stack: Stack, **item: Any) -> None:
    """Declares the item, and a setting of its provider's."""
    stack.declare(item=item)
    with stack.settings.open("a") as settings:
        settings.write("  fake:region: here\n")


def started(stack: Stack) -> list[Any]:
    return [json.loads(line) for line in (stack.folder / "started").read_text().splitlines()]


def fakes(stack: Stack) -> list[dict[str, Any]]:
    """The provider and its item in the state, without times."""
    return [
        {key: value for key, value in item.items() if key not in NOT_COMPARED}
        for item in stack.deployment()["resources"]
        if "fake" in item["type"]
    ]


def test_the_provider_runs_in_the_programs_folder_by_its_own_virtual_environment(stack: Stack) -> None:
    folder = own_provider(stack)
    stack.declare(item={"size": 1})
    stack.up()
    interpreter, working_folder, (path, address) = started(stack)[-1]
    assert interpreter == str(stack.folder / ".venv/bin/python")
    assert (working_folder, path) == (str(stack.folder), str(folder))
    assert address.startswith("127.0.0.1:")


def test_the_engines_interpreter_runs_a_provider_without_virtual_environment(stack: Stack) -> None:
    own_provider(stack, {"runtime": {"name": "python", "options": {"virtualenv": "../nowhere"}}})
    stack.declare(item={"size": 1})
    stack.up()
    assert started(stack)[-1][0] == sys.executable


def test_the_provider_is_the_packages_default_one(stack: Stack) -> None:
    own_provider(stack)
    declare(stack, size=1)
    stack.up()
    provider, item = fakes(stack)
    assert provider["urn"] == "urn:pulumi:s::things::pulumi:providers:fake::default"
    assert provider["inputs"] == provider["outputs"] == {"region": "here"}
    assert item["provider"] == f"{provider['urn']}::{provider['id']}"
    stack.engine("up", "--yes", "--refresh", "--expect-no-changes")
    declare(stack, size=2)
    assert "item updated [diff: size]" in stack.up().out
    stack.engine("destroy", "--yes")
    assert stack.deployment().get("resources", []) == []


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (
            lambda folder: shutil.rmtree(folder),
            "own' does not exist. Expected a folder with a 'PulumiPlugin.yaml'",
        ),
        (lambda folder: (folder / "PulumiPlugin.yaml").unlink(), "PulumiPlugin.yaml' is missing. Expected a file with"),
        (lambda folder: (folder / "PulumiPlugin.yaml").write_text("{}"), "names no runtime. Expected for example"),
        (
            lambda folder: (folder / "PulumiPlugin.yaml").write_text("runtime: nodejs"),
            "PulumiPlugin.yaml' has the runtime 'nodejs'. Expected 'python'.",
        ),
        (lambda folder: (folder / "__main__.py").unlink(), "__main__.py' is missing."),
    ],
)
def test_a_mistake_in_the_providers_folder_is_named(stack: Stack, spoil: Any, expected: str) -> None:
    spoil(own_provider(stack))
    stack.declare(item={"size": 1})
    out = stack.engine("preview", status=1).out
    assert out.count("The provider 'fake' of Pulumi.yaml: ") == 1
    assert expected in out


@pytest.mark.parametrize("entry", [{"name": "fake"}, {"path": "provider"}, "provider", {"name": "fake", "path": 1}])
def test_an_entry_without_name_or_path_is_named(stack: Stack, entry: Any) -> None:
    own_provider(stack)
    document = yaml.safe_load((stack.folder / "Pulumi.yaml").read_text())
    document["plugins"]["providers"] = [entry]
    (stack.folder / "Pulumi.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(EngineError, match=r"is no provider\. Expected a list 'providers:' of entries such as"):
        Project.find(stack.folder, stack.environment)


@pytest.mark.skipif(PULUMI is None, reason="Pulumi's CLI is not on PATH")
def test_the_cli_and_the_engine_take_over_from_each_other(stack: Stack) -> None:
    own_provider(stack)
    stack.environment |= CLI_ENVIRONMENT
    assert PULUMI is not None
    stack.declare(item={"size": 1})
    stack.engine("up", "--yes", "--non-interactive", through=(PULUMI,))
    made = fakes(stack)
    stack.up("--refresh", "--expect-no-changes")
    assert fakes(stack) == made
    stack.declare(item={"size": 2})
    stack.up()
    stack.engine("preview", "--expect-no-changes", "--non-interactive", through=(PULUMI,))
