"""A stack asks no more of this machine than it has."""

from __future__ import annotations

import subprocess

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


def test_this_machine_has_processors_and_memory() -> None:
    assert this_machine.processors() == int(subprocess.check_output(["nproc"]))
    assert this_machine.memory_gb() > 0.1
