"""GPUs are counted as this machine's processes see them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from settings.rules import gpus


def test_gpus_are_counted_by_their_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "_GPU_DEVICES", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.gpus() == 0
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert gpus.gpus() == 2


def test_gpus_are_asked_for_where_they_have_no_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "_GPU_DEVICES", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!{sys.executable}\nprint('GPU 0: NVIDIA T4 (UUID: GPU-1)')\n")
    program.chmod(0o755)
    assert gpus.gpus() == 1
    program.write_text(f"#!{sys.executable}\nraise SystemExit(9)\n")
    assert gpus.gpus() == 0
