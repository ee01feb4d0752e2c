"""What Git holds of the stacks that live on one machine."""

import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
ON_ONE_MACHINE = [
    line.split()[0]
    for line in (PROJECT / ".gitattributes").read_text().splitlines()
    if line.endswith("filter=machine-salt")
]


@pytest.mark.parametrize("file", ON_ONE_MACHINE)
def test_a_machines_own_salt_is_not_committed(file: str) -> None:
    # The filter would take the salt out at every look, and Git would call each fresh clone modified.
    held = subprocess.run(["git", "show", f":{file}"], cwd=PROJECT, capture_output=True, text=True, check=False)
    if held.returncode:
        pytest.skip(f"this folder is no Git checkout: {held.stderr.strip()}")
    assert "encryptionsalt" not in held.stdout
