"""The examples of the package in each language, with Pulumi's own CLI: it is where the SDKs are generated."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.engine_path import engine_path

ROOT = Path(__file__).parents[2]
HOSTS = {"python": "python", "typescript": "nodejs", "yaml": "yaml"}
PLUGINS = {"docker": "pulumi-docker", "kubernetes": "pulumi-kubernetes"}
NEEDED = ["pulumi", *(f"pulumi-language-{host}" for host in HOSTS.values()), *(f"pulumi-resource-{p}" for p in PLUGINS)]
MISSING = [program for program in NEEDED if shutil.which(program) is None]
QUESTION = {"query": "What color is the fox", "context": "The quick brown fox jumped over the lazy dog."}

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"not on PATH: {', '.join(MISSING)}"),
    pytest.mark.timeout(900),
]


class Program:
    """An example, with a backend of its own."""

    def __init__(self, language: str, folder: Path) -> None:
        self.folder = ROOT / "examples" / "package" / language
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
        self._environment = {
            **kept,
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder}",
            "PULUMI_CONFIG_PASSPHRASE": "of the test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        for plugin, package in PLUGINS.items():  # as `pulumi plugin install` leaves them
            place = folder / "home" / "plugins" / f"resource-{plugin}-v{version(package)}"
            place.mkdir(parents=True)
            shutil.copy(str(shutil.which(f"pulumi-resource-{plugin}")), place)

    def pulumi(self, *command: str) -> str:
        """Run a verb of the CLI, and give what it prints."""
        return self._run(["pulumi", *command, "--non-interactive"], self._environment)

    def embedded(self, *command: str) -> str:
        """Run a verb of the embedded engine, with the SDK that the CLI generated."""
        paths = engine_path(ROOT, self.folder / "sdks" / "triton")
        return self._run([sys.executable, "-m", "engine", *command], {**self._environment, "PYTHONPATH": paths})

    def _run(self, command: list[str], environment: dict[str, str]) -> str:
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def outputs(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.pulumi("stack", "output", "--json", "--show-secrets"))
        return found


@pytest.mark.parametrize("language", HOSTS)
def test_the_example_comes_stays_and_goes(language: str, tmp_path: Path) -> None:
    program = Program(language, tmp_path)
    program.pulumi("install")
    program.pulumi("stack", "init", "test")
    try:
        preview = program.pulumi("preview")
        assert "17 to create" in preview
        assert "17 created" in program.pulumi("up", "--yes", "--skip-preview")
        outputs = program.outputs()
        assert outputs["modelId"] == "triton_model:1"
        request = urllib.request.Request(
            outputs["scoringUri"],
            json.dumps(QUESTION).encode(),
            {"Authorization": f"Bearer {outputs['primaryKey']}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer) == ["brown"]
        assert "17 unchanged" in program.pulumi("up", "--yes", "--skip-preview")
        if language == "python":
            assert "17 unchanged" in program.embedded("up", "--yes", "--stack", "test")
            assert "17 unchanged" in program.pulumi("up", "--yes", "--skip-preview")
        state = program.pulumi("stack", "export")
        assert outputs["primaryKey"] not in state
    finally:
        assert "17 deleted" in program.pulumi("destroy", "--yes", "--skip-preview")
        for left in (".var", "Pulumi.test.yaml"):
            shutil.rmtree(program.folder / left, ignore_errors=True)
            (program.folder / left).unlink(missing_ok=True)
