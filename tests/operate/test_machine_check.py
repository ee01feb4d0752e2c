"""The machine check: what this project cannot run on is refused in words."""

import os
import platform
import sys

import pytest

from operate.machine_check import refusals


@pytest.fixture
def machine(monkeypatch):
    """A machine on which everything is well, but for what a test changes."""

    def change(python=(3, 11), folder="/home/me/clone", system="Linux", processor="x86_64", libc="glibc 2.35"):
        monkeypatch.setattr(sys, "version_info", (*python, 0, "final", 0))
        monkeypatch.setattr(os, "getcwd", lambda: folder)
        monkeypatch.setattr(platform, "system", lambda: system)
        monkeypatch.setattr(platform, "machine", lambda: processor)
        monkeypatch.setattr(os, "confstr", lambda name: libc)
        return refusals()

    return change


def test_the_machines_that_are_supported_are_not_refused(machine):
    for python in ((3, 10), (3, 11), (3, 12), (3, 13)):
        assert machine(python=python) == []
    assert machine(libc="glibc 2.41") == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"python": (3, 9)}, "Python 3.9 runs this; needed is 3.10 to 3.13"),
        ({"python": (3, 14)}, "Python 3.14 runs this; needed is 3.10 to 3.13"),
        ({"folder": "/home/me/my clone"}, "/home/me/my clone, has a space"),
        ({"folder": "/home/me/a:b"}, "/home/me/a:b, has a colon"),
        ({"system": "Darwin"}, "this is Darwin; Triton's server runs on Linux"),
        ({"processor": "aarch64"}, "this machine is aarch64"),
        ({"libc": "glibc 2.31"}, "this machine has glibc 2.31; needed is 2.35 or newer"),
        ({"libc": ""}, "this Linux has no GNU libc"),
    ],
)
def test_others_are_refused_with_the_reason(machine, changed, words):
    (refusal,) = machine(**changed)
    assert words in refusal


def test_every_reason_is_told(machine):
    assert len(machine(python=(3, 8), folder="/a b", libc="glibc 2.31")) == 3
