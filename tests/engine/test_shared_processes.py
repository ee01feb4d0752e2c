"""Runs of one command share processes and what these have imported, and nothing else."""

from __future__ import annotations

import importlib.util
import shutil
from typing import Any

import pytest
import yaml

from engine.state.project import Project
from tests.engine.conftest import ROOT, Stack

PROGRAM = """\
import os, sys
import counted
counted.number += 1
with open("runs", "a") as runs:
    runs.write(f"{os.getpid()} {counted.number} {counted.imported_by}\\n")
"""
COUNTED = """\
import os
number = 0
imported_by = os.getpid()
"""


def project(stack: Stack, preload: Any, program: str = PROGRAM) -> None:
    """Gives the project the modules to preload, and a program that notes what it finds."""
    options = {"options": {"toolchain": "pip", "virtualenv": ".venv", "preload": preload}}
    (stack.folder / "Pulumi.yaml").write_text(
        yaml.safe_dump({"name": "things", "runtime": {"name": "python", **options}})
    )
    (stack.folder / "counted.py").write_text(COUNTED)
    (stack.folder / "__main__.py").write_text(program)


def runs(stack: Stack) -> list[list[str]]:
    return [line.split() for line in (stack.folder / "runs").read_text().splitlines()]


def test_a_preloaded_module_is_imported_once_and_no_run_sees_another(stack: Stack) -> None:
    project(stack, ["counted"])
    stack.engine("up", "--yes")
    (first, one, importer), (second, also_one, same_importer) = runs(stack)
    assert first != second
    assert (one, also_one) == ("1", "1")
    assert importer == same_importer
    assert importer not in (first, second)


def test_a_module_that_is_not_preloaded_is_imported_by_each_run(stack: Stack) -> None:
    project(stack, None)
    stack.engine("up", "--yes")
    assert [(pid == importer, number) for pid, number, importer in runs(stack)] == [(True, "1")] * 2


def test_a_module_that_cannot_be_preloaded_is_told_and_left_to_the_program(stack: Stack) -> None:
    project(stack, ["absent", "counted"])
    out = stack.engine("up", "--yes").out
    assert out.count("'absent' of the project's preload cannot be imported: No module named 'absent'") == 1


def test_a_preloaded_module_that_starts_threads_is_refused(stack: Stack) -> None:
    project(stack, ["counted"])
    (stack.folder / "counted.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, name='lasting', daemon=True).start()\n"
    )
    out = stack.engine("up", "--yes", status=1).out
    assert out.count("The modules of the project's preload start threads (lasting); leave those modules to the") == 1


def test_a_preload_that_is_no_list_is_named(stack: Stack) -> None:
    project(stack, "counted")
    error = stack.engine("preview", status=1).err
    assert "runtime: preload is 'counted'. Expected a list of modules, such as [settings]." in error


def test_the_modules_that_this_project_preloads_exist() -> None:
    for module in Project.find(ROOT).preload:
        assert importlib.util.find_spec(module) is not None, module


@pytest.mark.parametrize(("end", "status"), [("sys.exit(3)", 3), ("os._exit(4)", 4), ("sys.exit('so')", 1)])
def test_how_the_program_ended_is_told(stack: Stack, end: str, status: int) -> None:
    project(stack, ["counted"], f"import os, sys\n{end}\n")
    assert f"The program ended with exit status {status}." in stack.engine("preview", status=1).out


def test_an_update_goes_on_with_the_providers_of_its_preview(stack: Stack) -> None:
    project(stack, None)
    shutil.copy(stack.folder / "plugin/pulumi-resource-fake", stack.folder / "fake.py")
    (stack.folder / "plugin/pulumi-resource-fake").write_text(
        "#!/usr/bin/env python\nimport os, runpy\nopen('started', 'a').write('started\\n')\n"
        "runpy.run_path('fake.py', run_name='__main__')\n"
    )
    stack.environment["PATH"] += f":{stack.folder / 'plugin'}"
    program = "import pulumi\nitem = pulumi.CustomResource('fake:index:Item', 'item', {'size': 1})\n"
    (stack.folder / "__main__.py").write_text(program)
    stack.up()
    (stack.folder / "started").unlink()
    stack.engine("up", "--yes", "--expect-no-changes")
    assert (stack.folder / "started").read_text() == "started\n"
    (stack.folder / "__main__.py").write_text(program.replace("1", "2"))
    assert "item updated [diff: size]" in stack.engine("up", "--yes").out
    with stack.settings.open("a") as settings:
        settings.write("  fake:region: here\n")
    stack.engine("up", "--yes")
    item = next(item for item in stack.deployment()["resources"] if item["type"] == "fake:index:Item")
    assert item["outputs"]["region"] == "here"
