"""`make logs` of a service on a Docker engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from settings.load import read_stack_file
from targets.contract import Stack
from targets.docker import logs
from targets.role import Role
from tests.gateway.test_access_log import LINE

PROJECT = Path(__file__).resolve().parents[3]
JSON = json.dumps(LINE)


class _Engine:
    """An engine with a Triton and a front door, whose logs both have a line."""

    def __enter__(self) -> _Engine:
        return self

    def __exit__(self, *_: object) -> None: ...

    def containers(self, service: str) -> list[Any]:
        roles = (Role.NETWORK, Role.TRITON, Role.FRONT_DOOR)
        return [SimpleNamespace(name=f"web-{role}", role=role) for role in roles]

    def logs(self, name: str, lines: int) -> str:
        return f"[warning] Envoy's own\n{JSON}\n" if name.endswith(Role.FRONT_DOOR) else "Triton's own\n"

    def follow(self, name: str) -> Iterator[str]:
        yield from self.logs(name, 1).splitlines()


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setattr(logs, "Engine", _Engine)
    return Stack(settings=read_stack_file(PROJECT, "docker", form_alone=True))


def test_people_see_each_container_under_its_name(stack: Stack, capfd: pytest.CaptureFixture[str]) -> None:
    assert logs.show(stack, follow=True, as_json=False, lines=50) == 0
    shown = capfd.readouterr().out.splitlines()
    assert shown[:3] == ["==> web-triton <==", "Triton's own", ""]
    assert shown[3:5] == ["==> web-front-door <==", "[warning] Envoy's own"]
    assert shown[5].startswith("2026-11-29 02:09:20.960 200 POST /v2/models/wine/infer")
    followed = sorted(shown[7:])
    assert followed[0].startswith("web-front-door: 2026-11-29 02:09:20.960 200 POST")
    assert followed[1:] == ["web-front-door: [warning] Envoy's own", "web-triton: Triton's own"]


def test_programs_get_the_access_log_alone(stack: Stack, capfd: pytest.CaptureFixture[str]) -> None:
    assert logs.show(stack, follow=True, as_json=True, lines=50) == 0
    assert capfd.readouterr().out == f"{JSON}\n{JSON}\n"
