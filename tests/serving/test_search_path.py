"""Modules beside the script: importable, and never in the place of the standard library's or the server's own."""

import json
import subprocess
import venv
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from environment.venv import BuiltEnvironment
from serving.command import PROBE
from serving.script import shadowed
from tests.serving.conftest import StartServer, start_in
from tests.serving.servers import PROJECT, Server

# Those that Python and the server import themselves, before the script and after; and one of a package.
TAKEN = ("types", "queue", "email", "operator", "abc", "json", "logging", "gunicorn", "gevent", "orjson", "serving")
BROKEN = "raise RuntimeError('this module is not meant for the server')\n"

SCRIPT = """
import json
import sys
import types
import helper

def init():
    pass

def run(data):
    return {"got": json.loads(data), "helper": helper.NAME, "types": types.__file__, "path": sys.path}
"""


def fill(folder: Path) -> None:
    """Write a script's folder with modules whose names are taken, and one of its own."""
    for name in TAKEN:
        (folder / f"{name}.py").write_text(BROKEN)
    for name in ("serving", "importlib"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(BROKEN)
    (folder / "helper.py").write_text("NAME = 'helper'\n")


WAYS = {
    "where it starts": {},
    "PYTHONPATH": {"PYTHONPATH": "{folder}:{project}"},
    "a relative PYTHONPATH": {"PYTHONPATH": ".:{project}"},
    "a safe path": {"PYTHONSAFEPATH": "1"},
}


@pytest.fixture(params=WAYS)
def server(request: pytest.FixtureRequest, script_environment: BuiltEnvironment, tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "ours"
    folder.mkdir()
    fill(folder)
    variables = {name: value.format(folder=folder, project=PROJECT) for name, value in WAYS[request.param].items()}
    with ExitStack() as stack:
        yield start_in(stack, script_environment.python, tmp_path, SCRIPT, variables=variables)


def test_a_module_beside_the_script_takes_nobodys_place(server: Server) -> None:
    answer = server.score('"a"').json()

    assert (answer["got"], answer["helper"]) == ("a", "helper")
    assert not answer["types"].startswith(str(server.folder))
    assert [entry for entry in answer["path"] if not entry.endswith("/in_children")][-1] == str(server.folder)
    assert answer["path"].count(str(server.folder)) == 1
    warned = server.stdout.count("Rename this one to import it.")
    assert warned == len(TAKEN) + 2
    assert f"{server.folder}/types.py: `import types` finds another module" in server.stdout


def test_the_probe_finds_its_own_modules(tmp_path: Path) -> None:
    fill(tmp_path)
    environment = tmp_path / "environment"  # as an image has one
    venv.create(environment, symlinks=True)
    (next(environment.glob("lib/python*/site-packages")) / "serving.pth").write_text(str(PROJECT))
    (tmp_path / "probe.json").write_text(json.dumps({"scorer": {"url": "http://127.0.0.1:9"}}))
    command = [str(environment / "bin" / "python"), *PROBE, str(tmp_path / "probe.json")]
    found = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": "."}, capture_output=True, text=True, timeout=60)

    assert (found.returncode, found.stderr) == (1, "")
    assert "received no answer" in found.stdout


def test_a_script_without_such_modules_gets_no_warning(start: StartServer) -> None:
    server = start("def init(): pass\ndef run(data): return data\n", files={"helper.py": "", "mine.txt": ""})

    assert "Rename this one" not in server.stdout


def test_folders_without_modules_are_nobodys_names(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "a.json").touch()
    (tmp_path / "test.py").touch()

    assert shadowed.modules([str(tmp_path), str(tmp_path / "missing")]) == [tmp_path / "test.py"]
