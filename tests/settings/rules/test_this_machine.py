"""A stack asks no more of this machine than it has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from settings.rules import this_machine
from tests.settings.conftest import Check


def test_a_machine_that_cannot_run_triton_is_told_why_unless_triton_has_nothing_to_do(
    mistakes: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(this_machine, "why_not", lambda wheel: (f"needs glibc {wheel.glibc}", "needs libpython"))
    assert mistakes({}) == [
        "deployment.target has the value 'process': needs glibc 2.35",
        "deployment.target has the value 'process': needs libpython",
    ]
    assert mistakes({"models": [{"path": "models", "name": "digits", "framework": "Custom"}]}) == []
    assert mistakes({"deployment": {"target": "docker", "gpuCores": 8, "cpuCores": 96, "memoryGb": 900}}) == []


def test_defaults_are_nobodys_mistake(mistakes: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_machine, "memory_gb", lambda: 1.0)
    assert mistakes({}) == []
    assert mistakes({"deployment": {"memoryGb": 4}}) != []


def test_gpus_are_counted_by_their_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_machine, "_GPU_DEVICES", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert this_machine.gpus() == 0
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert this_machine.gpus() == 2


def test_gpus_are_asked_for_where_they_have_no_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_machine, "_GPU_DEVICES", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!{sys.executable}\nprint('GPU 0: NVIDIA T4 (UUID: GPU-1)')\n")
    program.chmod(0o755)
    assert this_machine.gpus() == 1
    program.write_text(f"#!{sys.executable}\nraise SystemExit(9)\n")
    assert this_machine.gpus() == 0


def test_this_machine_has_processors_and_memory() -> None:
    assert this_machine.processors() == int(subprocess.check_output(["nproc"]))
    assert this_machine.memory_gb() > 0.1
