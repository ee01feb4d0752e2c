"""The Makefile in a clone of its own: what it sets up is whole however and however often it is started at once."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from targets.machine.ports import free_ports

SOURCE = Path(__file__).resolve().parents[2]
# A folder whose name has characters with a meaning in a Makefile, a shell and a URL.
ODD = "o'dd $HOME`x`r#d%41é&(b)?*"
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "tests", "benchmarks", "docs")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with this project, set up by links to this checkout's packages."""
    root = tmp_path_factory.mktemp("clone") / ODD.replace(" ", "-")
    shutil.copytree(SOURCE, root, ignore=LEFT_OUT)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    shutil.copy(SOURCE / ".gitattributes", root)
    packages = root / ".venv"
    (packages / "bin").mkdir(parents=True)
    for name in ("python", "uv"):
        (packages / "bin" / name).symlink_to(SOURCE / ".venv" / "bin" / name)
    for name in ("lib", "pyvenv.cfg"):
        (packages / name).symlink_to(SOURCE / ".venv" / name)
    (packages / ".program").touch()
    return root


def make(root: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "MAKE", "MFLAGS"))
    }
    environment["PATH"] = ":".join(p for p in environment["PATH"].split(":") if not (Path(p) / "pulumi").is_file())
    environment["PULUMI_HOME"] = str(root / ".pulumi-home")
    return subprocess.run(
        ["make", *arguments], cwd=root, env={**environment, **variables}, capture_output=True, text=True, check=False
    )


def stacks(root: Path) -> str:
    found = make(root, "--eval=list-stacks: ; @$(PULUMI) stack ls --json", "list-stacks")
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def test_several_makes_with_several_jobs_set_up_once(clone: Path) -> None:
    shutil.rmtree(clone / ".var", ignore_errors=True)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: make(clone, "setup", MAKEFLAGS="-j4"), range(4)))
    assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * 4
    assert len((clone / ".var" / "passphrase").read_text()) == 43
    assert (clone / ".var" / "passphrase").stat().st_mode & 0o077 == 0
    smudge = subprocess.run(
        ["git", "config", "--get-all", "filter.machine-salt.smudge"], cwd=clone, capture_output=True, check=True
    )
    assert smudge.stdout == b"cat\n"


def test_an_empty_passphrase_is_made_anew_unless_a_stack_was_made_under_another(clone: Path) -> None:
    file = clone / ".var" / "passphrase"
    file.write_text("")
    assert make(clone, "setup").returncode == 0
    assert len(file.read_text()) == 43

    stack = clone / ".var" / "backend" / ".pulumi" / "stacks" / "p" / "s.json"
    stack.parent.mkdir(parents=True)
    stack.write_text("{}")
    file.write_text("")
    told = make(clone, "preview")
    assert told.returncode != 0
    assert "is empty, as after a full disk" in told.stderr
    shutil.rmtree(clone / ".var")


def test_a_preview_of_a_new_stack_leaves_none_whatever_the_user_set_for_other_pythons(clone: Path) -> None:
    hostile = {"PYTHONSAFEPATH": "1", "PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere", "PYTHONWARNINGS": "error",
               "PYTHONOPTIMIZE": "2", "PYTHONINSPECT": "1", "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
    stack = clone / "stacks" / "Pulumi.local.yaml"
    # Triton itself cannot work in such a folder: its Python backend gives paths to a shell.
    odd = make(clone, "preview", **hostile)
    assert "stateDirectory" in odd.stderr + odd.stdout
    # Not the default port, on which a service of whoever runs the tests may listen.
    before = stack.read_text().replace("port: 6789", f"port: {free_ports(1)[0]}")
    before += f"  triton-serving:stateDirectory: {clone.parent}/state\n"
    before += f"  triton-serving:registry: {clone.parent}/registry\n"
    stack.write_text(before)
    shown = make(clone, "preview", **hostile)
    assert shown.returncode == 0, shown.stderr
    assert "17 to create" in shown.stdout
    assert list((clone / "components" / "__pycache__").glob("*.pyc"))  # the next command need not compile them
    assert stacks(clone) == "[]"
    assert stack.read_text() == before
    checked = make(clone, "policy", **hostile)
    assert checked.returncode == 0, checked.stderr
    assert "stack 'local': 9 policies over 17 resources, 0 mandatory and 0 advisory violations" in checked.stdout
    stack.write_text(before.replace("authEnabled: true", "authEnabled: false"))
    checked = make(clone, "policy", **hostile)
    assert checked.returncode != 0
    assert "set deployment.authEnabled: true in stacks/Pulumi.local.yaml" in " ".join(checked.stdout.split())
    assert stacks(clone) == "[]"
    stack.write_text(before)


def test_output_that_nobody_reads_ends_nothing(clone: Path) -> None:
    script = "set -o pipefail; make preview | head -n 1; make help >&-; make outputs >&- 2>&-; echo $?"
    environment = {"PATH": os.environ["PATH"], "HOME": str(clone), "PULUMI_HOME": str(clone / ".pulumi-home")}
    shown = subprocess.run(
        ["bash", "-c", script], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in shown.stdout + shown.stderr
    assert shown.stdout.startswith("Previewing update (local):\n")
    assert stacks(clone) == "[]"


def test_the_key_is_primary_or_secondary(clone: Path) -> None:
    refused = make(clone, "key", "KEY=third")
    assert refused.returncode != 0
    assert "KEY is 'third': expected primary or secondary" in refused.stderr


def test_packages_of_a_python_that_is_gone_are_installed_anew(clone: Path) -> None:
    for _ in range(2):
        asked = make(clone, "--eval=sound-is: ; @if $(SOUND); then echo sound; else echo unsound; fi", "sound-is")
        assert asked.stdout.strip() == ("sound" if (clone / ".venv" / "bin" / "python").exists() else "unsound")
        (clone / ".venv" / "bin" / "python").unlink()
        (clone / ".venv" / "bin" / "python").symlink_to("/usr/bin/python3.99")


def test_a_new_stack_is_written_for_a_model_whose_path_means_something_to_a_shell(clone: Path) -> None:
    model = clone / "it's $HOME.onnx"
    shutil.copy(SOURCE / "model_repository" / "triton" / "wine" / "1" / "model.onnx", model)
    # Target docker: Triton itself cannot work in such a folder.
    made = make(clone, "new", "NAME=mine", f"MODEL={model.name.replace('$', '$$')}", "TARGET=docker", TARGET="process")
    assert made.returncode == 0, made.stderr
    assert "target: docker" in (clone / "stacks" / "Pulumi.mine.yaml").read_text()
    assert (clone / "models" / "mine" / "triton" / "it_s_HOME" / "golden.json").is_file()
    # A NAME of the shell, which some systems set, is nobody's wish.
    unnamed = make(clone, "new", f"MODEL={clone}", NAME="machine")
    assert "NAME is missing; expected a name for the stack; say: make new NAME=mine MODEL=path" in unnamed.stderr
