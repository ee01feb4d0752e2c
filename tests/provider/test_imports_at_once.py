"""Requests come in threads, and the first of a kind imports its resource's type."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
ASK = """
import random, sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from provider.resource_type import TYPES, resource_type

names = sorted(TYPES)
random.Random(int(sys.argv[1])).shuffle(names)
together = Barrier(len(names))


def ask(name):
    together.wait()
    resource_type(name)


with ThreadPoolExecutor(len(names)) as threads:
    list(threads.map(ask, names))
"""


@pytest.mark.parametrize("seed", range(3))
def test_types_that_are_asked_for_at_once_are_imported_whole(seed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(seed)], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
