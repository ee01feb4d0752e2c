"""The recorder in a replica's pod: a sidecar whose port the front door alone reaches, and no server of clients."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from environment.image_layout import repository
from settings.load import read_stack_file
from settings.recording import RecordRequests
from settings.schema import Settings
from targets.node_pool.canary.candidate import servers
from targets.node_pool.objects.every_object import objects
from targets.node_pool.objects.gateway_files import gateway_files
from targets.node_pool.rendering import Contents, Options
from tests.waiting import eventually

PROJECT = Path(__file__).resolve().parents[3]


def options(stack: str, recording: RecordRequests | None) -> Options:
    settings: Settings = read_stack_file(PROJECT, stack)
    deployment = settings.deployment.model_copy(update={"record_requests": recording})
    return Options(
        settings=settings.model_copy(update={"deployment": deployment}),
        triton=True,
        scorer=settings.entry_script is not None,
        owner=f"organization/triton-serving/{stack}",
        contents=Contents(image="registry/i@sha256:0", repositories=(repository("triton_model", 1),)),
    )


def rendered(given: Options, kind: str) -> list[dict[str, Any]]:
    return [manifest for manifest in objects(given) if manifest["kind"] == kind]


def pod(given: Options) -> dict[str, Any]:
    found: dict[str, Any] = rendered(given, "Deployment")[0]["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("stack", ["aks-gpu", "aks-gpu-triton"])
def test_it_is_a_sidecar_without_a_probe_that_answers_no_client(stack: str) -> None:
    given = options(stack, RecordRequests.model_validate({"maxMegabytes": 50}))
    found = next(one for one in pod(given)["initContainers"] if one["name"] == "recorder")
    assert found["restartPolicy"] == "Always"
    assert not [name for name in found if name.endswith("Probe")]
    assert found["command"][-1] == "--megabytes=50"
    assert found["ports"] == [{"name": "record", "containerPort": 8003}]
    assert set(found["resources"]["limits"]) == {"cpu", "memory"}
    assert "recorder" not in servers(rendered(given, "Deployment")[0])


def kept_running(program: str) -> subprocess.Popen[bytes]:
    """Run the container's command with a program of Python in the recorder's place."""
    containers = pod(options("aks-gpu", RecordRequests()))["initContainers"]
    command = next(one for one in containers if one["name"] == "recorder")["command"]
    return subprocess.Popen([*command[: command.index("python")], sys.executable, "-c", program])


def test_its_container_starts_it_again_and_passes_sigterm_on(tmp_path: Path) -> None:
    program = f"""
import os, pathlib, signal, sys, time
folder = pathlib.Path({str(tmp_path)!r})

def end(*_):
    time.sleep(0.3)
    (folder / "ended").touch()
    sys.exit()

(folder / f"start-{{os.getpid()}}").touch()
if len(list(folder.glob("start-*"))) < 3:
    os.kill(os.getpid(), signal.SIGKILL)
signal.signal(signal.SIGTERM, end)
(folder / "ready").touch()
time.sleep(60)
"""
    with kept_running(program) as container:
        eventually((tmp_path / "ready").exists)
        container.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert container.wait(10) == 0
        assert time.monotonic() - began < 1
    assert (tmp_path / "ended").exists()
    assert len(list(tmp_path.glob("start-*"))) == 3


def test_its_container_ends_at_once_while_it_waits_to_start_it_again(tmp_path: Path) -> None:
    file = tmp_path / "started"
    with kept_running(f"open({str(file)!r}, 'x')") as container:
        eventually(file.exists)
        time.sleep(0.2)
        container.send_signal(signal.SIGTERM)
        assert container.wait(0.5) == 0


def test_settings_that_it_cannot_use_end_its_container() -> None:
    with kept_running("import sys; sys.exit(1)") as container:
        assert container.wait(10) == 1


@pytest.mark.parametrize("stack", ["aks-gpu", "aks-gpu-triton"])
def test_it_changes_of_a_pod_the_time_to_end_alone(stack: str) -> None:
    without, recorded = pod(options(stack, None)), pod(options(stack, RecordRequests()))
    others = [one for one in recorded.pop("initContainers") if one["name"] != "recorder"]
    assert others == without.pop("initContainers", [])
    assert recorded.pop("terminationGracePeriodSeconds") == without.pop("terminationGracePeriodSeconds") + 15
    assert recorded == without


def test_the_front_door_alone_reaches_it() -> None:
    given = options("aks-gpu-triton", RecordRequests())
    (service,) = (one for one in rendered(given, "Service") if one["spec"].get("clusterIP") == "None")
    assert 8003 in [port["port"] for port in service["spec"]["ports"]]
    rules = [rule for policy in rendered(given, "NetworkPolicy") for rule in policy["spec"]["ingress"]]
    (rule,) = (rule for rule in rules if 8003 in [port["port"] for port in rule["ports"]])
    (peer,) = rule["from"]
    assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "front-door"


def test_envoy_copies_a_sample_to_it_and_a_new_sample_is_no_new_pod() -> None:
    one, other = (options("aks-gpu-triton", RecordRequests.model_validate({"sample": s})) for s in (0.1, 0.5))
    routes = json.loads(gateway_files(one)["routes.json"])["resources"][0]["virtual_hosts"][0]["routes"]
    copied = {
        route["name"]: route["route"]["request_mirror_policies"] for route in routes if "request_mirror" in str(route)
    }
    assert set(copied) == {"infer", "generate", "grpc_infer"}
    (policy,) = copied["infer"]
    assert policy["runtime_fraction"]["default_value"] == {"numerator": 100_000, "denominator": "MILLION"}
    clusters = {found["name"]: found for found in json.loads(gateway_files(one)["clusters.json"])["resources"]}
    assert clusters["recorder"]["type"] == "STRICT_DNS"
    assert pod(one) == pod(other)
    assert "recorder" not in "".join(gateway_files(options("aks-gpu-triton", None)).values())
