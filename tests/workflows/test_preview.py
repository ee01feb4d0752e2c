"""A pull request's preview of a stack: what it starts from, what it leaves alone, and what it says without secrets."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engine_path import engine_path

ROOT = Path(__file__).parents[2]
CLI = shutil.which("pulumi")
PASSPHRASE = "of the team"
PACK_PACKAGES = ROOT / ".var" / "policies" / "venv"
PACK = """\
from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy

def validate(args, report):
    report("every stack is too much")

PolicyPack("strict", [ResourceValidationPolicy("none", "Nothing.", validate, EnforcementLevel.MANDATORY)])
"""
PROGRAM = """\
import pulumi

pulumi.export("greeting", pulumi.Config().require("greeting"))
pulumi.export("key", pulumi.Config().get_secret("key"))
"""


class Checkout:
    """A pull request's checkout of a project with the stack `staging`, and the backend that the team shares."""

    def __init__(self, folder: Path, cli: str | None) -> None:
        self.folder = folder / "checkout"
        self.backend = folder / "backend"
        self.file = self.folder / "stacks/Pulumi.staging.yaml"
        for made in (self.file.parent, self.backend, folder / "bin", folder / "home"):
            made.mkdir(parents=True)
        (self.folder / "Pulumi.yaml").write_text("name: greeter\nruntime: python\nstackConfigDir: stacks\n")
        (self.folder / "__main__.py").write_text(PROGRAM)
        self.file.write_text("config:\n  greeter:greeting: hello\n")
        (self.folder / ".github").symlink_to(ROOT / ".github")
        (self.folder / ".venv").symlink_to(Path(sys.executable).parent.parent)
        pulumi = folder / "bin/pulumi"
        pulumi.write_text(f'#!/bin/sh\nexec {cli or f"{sys.executable} -m engine"} "$@"\n')
        pulumi.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
        self.environment = {
            **kept,
            "PATH": f"{pulumi.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": engine_path(ROOT),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
            "STACK": "staging",
        }

    def pulumi(self, *command: str) -> None:
        """Runs a verb as a member of the team."""
        secrets = {"PULUMI_BACKEND_URL": f"file://{self.backend}", "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE}
        subprocess.run(
            ["pulumi", *command, "--non-interactive"],
            cwd=self.folder,
            env={**self.environment, **secrets},
            check=True,
            capture_output=True,
            timeout=120,
        )

    def preview(
        self, *, backend: str = "", passphrase: str = "", fails: bool = False, policies: str = ""
    ) -> dict[str, Any]:
        """The record that the workflow's step leaves; a secret that it is not given is empty, as on GitHub."""
        done = subprocess.run(
            [".github/scripts/preview.sh"],
            cwd=self.folder,
            env={
                **self.environment,
                "PULUMI_BACKEND_URL": backend,
                "PULUMI_CONFIG_PASSPHRASE": passphrase,
                "POLICY_PACK": policies,
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode != 0) == fails, done
        record: dict[str, Any] = json.loads((self.folder / "record.json").read_text())
        return record

    def shared(self) -> dict[str, bytes]:
        """All that is in the team's backend."""
        return {str(path): path.read_bytes() for path in self.backend.rglob("*") if path.is_file()}


@pytest.fixture(params=["engine", "cli"])
def checkout(request: pytest.FixtureRequest, tmp_path: Path) -> Checkout:
    if request.param == "cli" and CLI is None:
        pytest.skip("Pulumi's CLI is not on PATH")
    return Checkout(tmp_path, CLI if request.param == "cli" else None)


def test_a_stack_of_the_shared_backend_is_compared_with_its_state(checkout: Checkout) -> None:
    checkout.pulumi("stack", "init", "staging")
    checkout.pulumi("up", "--stack", "staging", "--yes", "--skip-preview")
    before = checkout.shared()
    record = checkout.preview(backend=f"file://{checkout.backend}", passphrase=PASSPHRASE)
    assert record["counts"] == {"same": 1}
    assert checkout.shared() == before
    assert "| `staging` |" in Path(checkout.environment["GITHUB_STEP_SUMMARY"]).read_text()


def test_a_fork_previews_a_stack_whose_salt_it_cannot_open(checkout: Checkout) -> None:
    checkout.pulumi("stack", "init", "staging")
    assert "encryptionsalt:" in checkout.file.read_text()
    record = checkout.preview()
    assert (record["counts"], record["errors"]) == ({"create": 1}, [])


def test_a_fork_is_told_that_encrypted_settings_need_the_passphrase(checkout: Checkout) -> None:
    checkout.pulumi("stack", "init", "staging")
    checkout.pulumi("config", "set", "--stack", "staging", "--secret", "key", "k3y")
    record = checkout.preview()
    assert "has encrypted settings, and this run was not given what opens them" in record["left_out"]
    assert record["errors"] == []


def test_a_stack_that_the_shared_backend_lacks_is_previewed_and_not_made_there(checkout: Checkout) -> None:
    checkout.pulumi("stack", "init", "staging")
    checkout.pulumi("config", "set", "--stack", "staging", "--secret", "key", "k3y")
    settings = checkout.file.read_text()
    checkout.pulumi("stack", "rm", "staging", "--yes", "--preserve-config")
    before = checkout.shared()
    assert checkout.file.read_text() == settings
    record = checkout.preview(backend=f"file://{checkout.backend}", passphrase=PASSPHRASE)
    assert record["counts"] == {"create": 1}
    assert checkout.shared() == before


def test_a_state_whose_passphrase_the_run_lacks_is_left_out(checkout: Checkout) -> None:
    checkout.pulumi("stack", "init", "staging")
    record = checkout.preview(backend=f"file://{checkout.backend}")
    assert "the repository has no secret PULUMI_CONFIG_PASSPHRASE" in record["left_out"]


def test_a_backend_that_cannot_be_reached_is_not_taken_for_an_empty_one(checkout: Checkout) -> None:
    record = checkout.preview(backend="https://127.0.0.1:1", passphrase=PASSPHRASE, fails=True)
    assert record["errors"] == ["The preview did not start; see the job's log."]


@pytest.mark.skipif(CLI is None, reason="Pulumi's CLI is not on PATH")
@pytest.mark.skipif(not PACK_PACKAGES.exists(), reason="the policy pack's packages are not installed: make policy-pack")
def test_a_stack_that_violates_a_mandatory_policy_fails(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, CLI)
    pack = checkout.folder / "policies"
    pack.mkdir()
    runtime = {"name": "python", "options": {"toolchain": "pip", "virtualenv": str(PACK_PACKAGES)}}
    (pack / "PulumiPolicy.yaml").write_text(json.dumps({"runtime": runtime}))
    (pack / "__main__.py").write_text(PACK)
    record = checkout.preview(policies="policies", fails=True)
    assert record["errors"] == ["The stack violates the policies; see the job's log."]
    assert record["counts"] == {"create": 1}
    (pack / "configuration.json").write_text(json.dumps({"none": "advisory"}))
    shutil.rmtree(checkout.folder / ".var")
    assert checkout.preview(policies="policies")["errors"] == []
