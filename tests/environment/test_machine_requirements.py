import dataclasses
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from environment import machine_requirements
from environment.curated_clone import Environment
from environment.interpreter import Interpreter, inspect, installed
from environment.venv import build
from tests.environment.conftest import Shared

WHEEL = Environment.get("AzureML-Triton").curated.wheel
FITTING = Interpreter(
    executable=Path("/usr/bin/python3"),
    version="3.11.2",
    implementation="cpython",
    prefix=Path("/usr"),
    platform="linux-x86_64",
    library=Path("/usr/lib/libpython3.11.so.1.0"),
)


@pytest.fixture(autouse=True)
def fitting_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with everything that Triton's wheel needs, whatever the tests run on."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(machine_requirements, "_glibc", lambda: "2.35")
    monkeypatch.setattr(machine_requirements, "_loads", lambda library: True)


def interpreter(**changes: object) -> Interpreter:
    return dataclasses.replace(FITTING, **changes)  # type: ignore[arg-type]


def test_a_machine_with_everything_is_told_nothing() -> None:
    assert machine_requirements.why_not(WHEEL, FITTING) == ()


@pytest.mark.parametrize("glibc", ["2.36", "2.40", "3.0"])
def test_a_newer_glibc_will_do(glibc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_requirements, "_glibc", lambda: glibc)
    assert machine_requirements.why_not(WHEEL, FITTING) == ()


@pytest.mark.parametrize(("system", "processor"), [("darwin", "arm64"), ("linux", "aarch64"), ("win32", "AMD64")])
def test_another_system_is_pointed_to_the_other_targets(
    system: str, processor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: processor)
    (reason,) = machine_requirements.why_not(WHEEL)
    assert reason.startswith("Triton's wheel runs on Linux on x86_64, not on ")
    assert reason.endswith(f" on {processor}; use the target docker or node-pool")


@pytest.mark.parametrize(("glibc", "found"), [("2.31", "this machine has 2.31"), (None, "another C library")])
def test_an_old_glibc_is_named_with_the_one_needed(
    glibc: str | None, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_requirements, "_glibc", lambda: glibc)
    (reason,) = machine_requirements.why_not(WHEEL, FITTING)
    assert "needs glibc 2.35 or newer (Debian 12, Ubuntu 22.04, RHEL 10 have it)" in reason
    assert found in reason


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            interpreter(version="3.9.18"),
            "Triton's Python backend runs on CPython 3.10 to 3.13, not on cpython 3.9.18 (/usr/bin/python3)",
        ),
        (
            interpreter(version="3.14.0"),
            "Triton's Python backend runs on CPython 3.10 to 3.13, not on cpython 3.14.0 (/usr/bin/python3)",
        ),
        (
            interpreter(implementation="pypy"),
            "Triton's Python backend runs on CPython 3.10 to 3.13, not on pypy 3.11.2 (/usr/bin/python3)",
        ),
        (
            interpreter(library=None),
            "Triton's Python backend needs libpython3.11.so.1.0, which Python 3.11.2 (/usr/bin/python3) comes without; "
            "install it (Debian, Ubuntu: libpython3.11; Fedora: python3-libs; pyenv: build with --enable-shared)",
        ),
    ],
)
def test_a_python_that_triton_cannot_embed_is_named_with_the_fix(wrong: Interpreter, message: str) -> None:
    assert machine_requirements.why_not(WHEEL, wrong) == (message,)


def test_the_wheels_own_libpython_will_do() -> None:
    assert machine_requirements.why_not(WHEEL, interpreter(version="3.13.1", library=None)) == ()


def test_everything_that_is_missing_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_requirements, "_glibc", lambda: "2.28")
    monkeypatch.setattr(machine_requirements, "_loads", lambda library: library != "libz.so.1")
    reasons = machine_requirements.why_not(WHEEL, interpreter(version="3.8.10"))
    assert [reason.split(",")[0].split(" (")[0] for reason in reasons] == [
        "Triton's wheel needs glibc 2.35 or newer",
        "Triton needs libz.so.1",
        "Triton's Python backend runs on CPython 3.10 to 3.13",
    ]


def test_a_scoring_only_environment_is_built_on_any_machine(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_requirements, "_glibc", lambda: None)
    built = build(Environment.get("AzureML-Triton"), root=shared.root, serving=shared.serving, triton=False)
    assert built.triton is None
    assert not {"onnxruntime", "nvidia-pytriton"} & set(built.lock.packages)


def test_an_interpreter_tells_what_it_is() -> None:
    found = inspect()
    assert found.executable == Path(sys.executable)
    assert found.version == platform.python_version()
    assert found.minor_version == ".".join(platform.python_version_tuple()[:2])
    assert found.implementation == "cpython"
    assert found.library is None or found.library.is_file()


def test_an_interpreter_for_which_numpy_must_be_compiled_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    newest = interpreter(version="3.13.0")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert machine_requirements.why_not(WHEEL, newest) == ()
    (headers,) = machine_requirements.why_not(WHEEL, interpreter(version="3.13.0", headers=False))
    assert "lacks the headers of Python" in headers
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (compiler,) = machine_requirements.why_not(WHEEL, newest)
    assert "lacks a C++ compiler; install an older Python beside it (.venv/bin/uv python install 3.12)" in compiler


@pytest.mark.parametrize(
    ("running", "others", "chosen"),
    [
        ("3.11.2", ["3.12.1"], "3.11.2"),
        ("3.13.0", ["3.13.0", "3.9.1", "3.10.13"], "3.10.13"),
        ("3.13.0", [], "3.13.0"),
        ("3.14.0", ["3.12.1"], "3.12.1"),
    ],
)
def test_environments_take_another_interpreter_where_this_programs_does_not_fit(
    running: str, others: list[str], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_requirements, "inspect", lambda: interpreter(version=running))
    monkeypatch.setattr(
        machine_requirements, "installed", lambda: tuple(interpreter(version=other) for other in others)
    )
    for triton in (True, False):
        assert machine_requirements.interpreter_for(WHEEL, triton=triton).version == chosen


def test_an_interpreter_without_a_library_to_embed_is_passed_over_for_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    bare, whole = interpreter(library=None), interpreter(version="3.12.1")
    monkeypatch.setattr(machine_requirements, "inspect", lambda: bare)
    monkeypatch.setattr(machine_requirements, "installed", lambda: (bare, whole))
    assert machine_requirements.interpreter_for(WHEEL) == whole
    assert machine_requirements.interpreter_for(WHEEL, triton=False) == bare


def test_installed_interpreters_are_found_with_what_they_are() -> None:
    on_path = subprocess.check_output(["python3", "-c", "import platform; print(platform.python_version())"], text=True)
    assert on_path.strip() in {found.version for found in installed()}
