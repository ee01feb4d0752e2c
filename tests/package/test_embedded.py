"""The Python example under the embedded engine, with a stand-in for the SDK that Pulumi's CLI generates."""

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from targets.machine.ports import free_ports
from tests.engine_path import engine_path

ROOT = Path(__file__).parents[2]
EXAMPLE = Path("examples/package/python")
QUESTION = {"query": "What color is the fox", "context": "The quick brown fox jumped over the lazy dog."}


class Program:
    """The example in a checkout of its own, whose other folders are links."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / EXAMPLE
        shutil.copytree(ROOT / EXAMPLE, self.folder, ignore=shutil.ignore_patterns(".var", "sdks", "venv"))
        program = self.folder / "__main__.py"
        program.write_text(program.read_text().replace("6791", str(free_ports(1)[0])))
        manifest = yaml.safe_load((self.folder / "Pulumi.yaml").read_text())
        manifest["runtime"] = {"name": "python", "options": {"virtualenv": "../../../.venv"}}
        (self.folder / "Pulumi.yaml").write_text(yaml.safe_dump(manifest))
        for link in ("provider", ".venv", "model_repository", "examples/scripts"):
            (folder / link).symlink_to(Path(sys.prefix) if link == ".venv" else ROOT / link)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
        self._environment = {
            **kept,
            "PYTHONPATH": engine_path(ROOT, Path(__file__).parent / "sdk"),
            "PULUMI_BACKEND_URL": f"file://{folder}",
            "PULUMI_CONFIG_PASSPHRASE": "of the test",
        }

    def pulumi(self, *command: str, fails: bool = False) -> str:
        """Run a verb of the embedded engine, and give what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "engine", *command],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.pulumi("stack", "export", "--stack", "test"))
        return found


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path / "checkout")


def test_the_example_comes_stays_and_goes(program: Program) -> None:
    program.pulumi("stack", "init", "test")
    up = ("up", "--yes", "--stack", "test")
    try:
        assert "17 created" in program.pulumi(*up)
        outputs = json.loads(program.pulumi("stack", "output", "--json", "--show-secrets", "--stack", "test"))
        request = urllib.request.Request(
            outputs["scoringUri"],
            json.dumps(QUESTION).encode(),
            {"Authorization": f"Bearer {outputs['primaryKey']}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer) == ["brown"]
        assert outputs["modelId"] == "triton_model:1"
        resources = {found["urn"].rpartition("::")[2]: found for found in program.state()["deployment"]["resources"]}
        assert "custom" not in resources["triton-python"] or resources["triton-python"]["custom"] is False
        assert resources["triton-python"]["outputs"]["scoringUri"] == outputs["scoringUri"]
        assert outputs["primaryKey"] not in json.dumps(resources)
        assert (program.folder / ".var/registry/triton_model/1").is_dir()  # paths start at the program's folder
        assert "17 unchanged" in program.pulumi(*up)
    finally:
        program.pulumi("destroy", "--yes", "--stack", "test")


def test_services_of_one_program_leave_each_other_alone(program: Program) -> None:
    source = program.folder / "__main__.py"
    both = source.read_text().split('    entry_script="score_bidaf.py",')[0].rpartition("service = ")[0]
    service = 'TritonService({0!r}, models=[model], deployment={{"target": "process", "port": {1}}})'
    one, two = (f"pulumi.export('u{port}', {service.format(f's-{port}', port)}.scoring_uri)" for port in free_ports(2))
    source.write_text(f"{both}\n{one}\n{two}\n")
    program.pulumi("stack", "init", "test")
    try:
        program.pulumi("up", "--yes", "--stack", "test")
        uris = json.loads(program.pulumi("stack", "output", "--json", "--stack", "test")).values()
        assert [_status(uri) for uri in uris] == [401, 401]
        source.write_text(f"{both}\n{two}\n")
        program.pulumi("up", "--yes", "--stack", "test")
        (left,) = json.loads(program.pulumi("stack", "output", "--json", "--stack", "test")).values()
        assert _status(left) == 401
    finally:
        program.pulumi("destroy", "--yes", "--stack", "test")


def _status(uri: str) -> int:
    """Ask a front door without a key."""
    try:
        with urllib.request.urlopen(f"{uri}/v2/health/ready", timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def test_a_mistake_is_told_at_preview_by_the_words_of_a_stacks_file(program: Program) -> None:
    source = program.folder / "__main__.py"
    source.write_text(source.read_text().replace('"memory_gb": 4', '"memory_gb": -4'))
    program.pulumi("stack", "init", "test")
    told = program.pulumi("preview", "--stack", "test", fails=True)
    assert "TritonService 'triton-python' has 1 mistake:" in told
    assert "deployment.memoryGb has the value -4: expected a number above 0" in told
    assert "Traceback" not in told
