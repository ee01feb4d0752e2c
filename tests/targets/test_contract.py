"""Every target answers the same verbs, and brings its own libraries alone."""

import subprocess
import sys
import types
from pathlib import Path

import pytest
from rich.console import Console

from operate import __main__ as operate
from settings.schema import Target
from targets import contract
from targets.contract import Deployed, Stack, Verbs, verbs_of
from targets.errors import ServiceError

PROJECT = Path(__file__).resolve().parents[2]
LIBRARIES = {Target.PROCESS: {"supervisor"}, Target.DOCKER: {"docker"}, Target.NODE_POOL: {"kr8s"}}
PARTS = {
    Target.PROCESS: ("status", "logs", "check", "rollout", "front_door", "service"),
    Target.DOCKER: ("status", "logs", "check", "rollout", "front_door", "service"),
    Target.NODE_POOL: ("status", "logs", "rollout", "service"),
}


def imported(*modules: str) -> set[str]:
    """The libraries of targets that a Python has imported after these modules."""
    code = f"""
import importlib, sys
for module in {modules!r}:
    importlib.import_module(module)
print(*sorted(sys.modules))
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    return {"supervisor", "docker", "kr8s"} & set(found.stdout.split())


@pytest.mark.parametrize("target", Target)
def test_a_target_brings_its_own_libraries_alone(target: Target) -> None:
    package = contract.TARGETS[target]
    others = set().union(*(libraries for other, libraries in LIBRARIES.items() if other is not target))
    found = imported(*(f"{package}.{part}" for part in PARTS[target]))
    assert found & LIBRARIES[target]
    assert not found & (others - LIBRARIES[target])


def test_a_targets_verbs_bring_no_library_until_one_of_them_runs() -> None:
    assert imported("targets.contract", *(f"{folder}.verbs" for folder in contract.TARGETS.values())) == set()


def test_every_target_has_its_verbs() -> None:
    assert set(contract.TARGETS) == set(Target)
    assert [verbs_of(target).target for target in Target] == list(Target)


@pytest.mark.parametrize("target", [Target.DOCKER, Target.NODE_POOL])
def test_what_is_supervised_elsewhere_needs_no_keeper(target: Target, tmp_path: Path) -> None:
    told = f"target {target.value}: what runs the service there starts it again by itself"
    with pytest.raises(ServiceError, match=told):
        verbs_of(target).write_unit(tmp_path, "mine", print)


class Toy(Verbs):
    """A target that keeps its services in a text."""

    target = Target.DOCKER

    def status(self, stack: Stack, console: Console) -> int:
        console.print(f"{stack.settings.service_name} is a toy in {stack.state_directory.name}")
        return 0

    def logs(self, stack: Stack, *, follow: bool, as_json: bool, lines: int = contract.LOG_LINES) -> int:
        return lines if lines != contract.LOG_LINES else 9 if as_json else 7 if follow else 3

    def check(self, stack: Stack, console: Console) -> int:
        raise ServiceError("toys break")

    def deployed(self, state_directory: Path) -> list[Deployed]:
        return [Deployed(service="doll", stack="organization/p/nursery")]


def test_the_commands_ask_whatever_target_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "toy.verbs", types.SimpleNamespace(VERBS=Toy()))
    monkeypatch.setitem(contract.TARGETS, Target.DOCKER, "toy")
    (tmp_path / "stacks").mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: triton-serving\nruntime: python\n")
    (tmp_path / "models" / "triton").mkdir(parents=True)
    settings = "config:\n  serviceName: web\n  models: ['m:1']\n  deployment: {target: docker}\n"
    (tmp_path / "stacks" / "Pulumi.mine.yaml").write_text(settings)
    monkeypatch.setattr(operate, "PROJECT", tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        code = operate.main([*arguments, "--stack", "mine"])
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    assert run("status") == (0, "web is a toy in .var\n")
    assert (run("logs"), run("logs", "--follow")) == ((3, ""), (7, ""))
    assert run("logs", "--json", "--follow") == (9, "")
    assert run("logs", "--lines=70") == (70, "")
    code, told = run("idle")
    assert (code, "the service 'doll' of the stack organization/p/nursery" in told) == (1, True)
    assert run("idle", "--besides")[0] == 1
