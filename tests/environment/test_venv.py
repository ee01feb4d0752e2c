import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from environment import machine_requirements
from environment.curated_clone import Environment
from environment.package_lock import ResolutionError
from environment.venv import BuildError, build
from tests.environment.conftest import Shared

PROJECT = Path(__file__).resolve().parents[2]
CURATED = Environment.get("AzureML-Triton")

Builder = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start_build(root: Path, serving: Path) -> Iterator[Builder]:
    """Start a build in a process of its own; killed at the end of the test."""
    started = []

    def start(stop_at: str = "") -> "subprocess.Popen[str]":
        command = [sys.executable, str(Path(__file__).with_name("building.py")), str(root), str(serving), stop_at]
        environ = {**os.environ, "PYTHONPATH": str(PROJECT)}
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=30)


def read_until(process: "subprocess.Popen[str]", start: str) -> str:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith(start):
            return line
    pytest.fail(f"no line starts with {start!r} in {''.join(seen)}")


def folders(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.is_dir() and path.name != "locks")


def imports(python: Path, *modules: str) -> str:
    code = f"import json, {', '.join(modules)}; print(json.dumps([m.__file__ for m in ({', '.join(modules)},)]))"
    answer = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True, timeout=60, cwd="/")
    return str(json.loads(answer.stdout)[0])


def test_an_environment_holds_the_curated_packages_the_added_ones_and_the_server(root: Path, serving: Path) -> None:
    lines: list[str] = []
    environment = CURATED.clone("My-Triton").add_pip_package("sniffio").add_pip_package("gunicorn")
    built = build(environment, root=root, serving=serving, triton=False, progress=lines.append)

    assert built.path.name == f"My-Triton-{built.digest[:12]}"
    assert imports(built.python, "serving", "tritonhttpclient", "sniffio").startswith(str(built.path))
    assert built.lock.packages["numpy"] == "1.26.4"
    assert built.triton is None
    assert "resolving My-Triton" in lines
    assert any(line.startswith("Installed ") for line in lines)
    assert folders(root) == [built.path.name]
    # a command knows where it was moved to
    assert subprocess.check_output([str(built.bin / "gunicorn"), "--version"], text=True).startswith("gunicorn")


def test_who_needs_the_same_shares_it_and_nothing_is_done(shared: Shared) -> None:
    lines: list[str] = []
    environment = CURATED.with_variables({"A": "1"})
    again = build(environment, root=shared.root, serving=shared.serving, triton=False, progress=lines.append)
    assert (again, lines) == (shared.built, [])


def test_tritons_server_and_its_python_backends_are_in_the_environment(root: Path, serving: Path) -> None:
    if reasons := machine_requirements.why_not(CURATED.curated.wheel):
        pytest.skip("; ".join(reasons))
    built = build(CURATED, root=root, serving=serving)
    assert built.triton is not None
    # The check of models loads them with the version that serves them.
    assert built.lock.packages["onnxruntime"] == importlib.metadata.version("onnxruntime")
    assert (built.triton.backend_directory / "python" / "triton_python_backend_stub").is_file()
    assert (built.triton.backend_directory / "onnxruntime" / "model.py").is_file()
    # It finds its shared libraries from where the environment was moved to.
    answer = subprocess.run([str(built.triton.server), "--help"], capture_output=True, text=True, timeout=60)
    assert answer.stderr.startswith("Usage: tritonserver")


def test_changed_sources_of_the_server_make_another_environment(shared: Shared, serving: Path) -> None:
    (serving / "__init__.py").write_text("GREETING = 'good day'\n")
    changed = build(CURATED, root=shared.root, serving=serving, triton=False)

    assert changed.path != shared.built.path
    greetings = [
        subprocess.check_output([str(python), "-c", "import serving; print(serving.GREETING)"], text=True, cwd="/")
        for python in (shared.built.python, changed.python)
    ]
    assert greetings == ["hello\n", "good day\n"]


def test_packages_that_do_not_resolve_leave_what_is_there(shared: Shared) -> None:
    before = folders(shared.root)
    with pytest.raises(ResolutionError, match="sniffio==9999"):
        build(CURATED.add_pip_package("sniffio==9999"), root=shared.root, serving=shared.serving, triton=False)
    assert folders(shared.root) == before
    assert imports(shared.built.python, "serving").startswith(str(shared.built.path))


def test_a_server_that_does_not_build_fails_in_words_and_leaves_nothing(root: Path, serving: Path) -> None:
    pyproject = serving / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + '\n[tool.hatch.build.hooks.custom]\npath = "not_there.py"\n')
    with pytest.raises(BuildError, match=r"environment 'AzureML-Triton' cannot be built: .*not_there\.py") as failed:
        build(CURATED, root=root, serving=serving, triton=False)
    assert "\n" not in str(failed.value)
    assert folders(root) == []


def test_a_killed_build_leaves_nothing_that_looks_built_and_the_next_one_clears_up(
    root: Path, serving: Path, start_build: Builder
) -> None:
    killed = start_build("Installed ")
    read_until(killed, "Installed ")
    killed.kill()
    killed.wait(timeout=30)
    (left,) = folders(root)
    assert left.startswith(".")

    built = build(CURATED, root=root, serving=serving, triton=False)
    assert folders(root) == [built.path.name]
    assert imports(built.python, "serving").startswith(str(built.path))


def test_two_builders_at_once_build_once(root: Path, start_build: Builder) -> None:
    outputs = [process.communicate(timeout=120)[0] for process in [start_build(), start_build()]]
    ends = {line for output in outputs for line in output.splitlines() if line.startswith("built ")}
    assert len(ends) == 1, outputs
    assert sum(output.count("building ") for output in outputs) == 1, outputs


def test_the_uv_of_a_killed_build_is_waited_for(
    root: Path, serving: Path, tmp_path: Path, start_build: Builder
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    (serving / "hatch_build.py").write_text(
        "from hatchling.builders.hooks.plugin.interface import BuildHookInterface\n"
        "class Hook(BuildHookInterface):\n"
        "    def initialize(self, version, build_data):\n"
        f"        open({str(gate)!r}).read()\n"
    )
    pyproject = serving / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + "\n[tool.hatch.build.hooks.custom]\n")
    killed = start_build()
    read_until(killed, "   Building entry-script-server")
    killed.kill()

    next_one = start_build()
    read_until(next_one, "waiting for another build to end")
    gate.write_text("")  # lets the first uv go on; the write waits for it to read
    # the second build's own uv reads the gate again
    read_until(next_one, "   Building entry-script-server")
    gate.write_text("")
    path = Path(read_until(next_one, "built ").split()[1])
    assert imports(path / "bin" / "python", "serving").startswith(str(path))


def test_a_machine_that_cannot_run_the_wheel_is_told_before_anything_is_resolved(
    root: Path, serving: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_requirements, "_glibc", lambda: "2.31")
    with pytest.raises(BuildError, match=r"needs glibc 2\.35 or newer .*; this machine has 2\.31"):
        build(CURATED, root=root, serving=serving)
    assert not root.exists()
