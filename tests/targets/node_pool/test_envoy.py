"""The front door's pod on a real Envoy: it takes every file, and parts from its clients before it ends."""

import contextlib
import http.client
import re
import subprocess
import threading

import pytest

from gateway import envoy_command
from gateway.admin import Admin
from gateway.envoy_files import BOOTSTRAP_FILE, render_keys
from gateway.listener import KEYS_FILE
from targets.machine.ports import free_ports
from targets.node_pool.objects.gateway_files import gateway_files
from tests.gateway.conftest import Upstream, upstream
from tests.targets.node_pool.conftest import KEYS, SHAPES
from tests.waiting import eventually

TLS = {"tls": {"certificateFile": "certificate.pem", "keyFile": "key.pem"}}
CLIENTS = {"clients": [{"name": "checkout", "requestsPerSecond": 40, "maxConcurrent": 7}]}
PORTS = ("8080", "9901", "9902")


@contextlib.contextmanager
def running(options, folder, certificate, triton=None):
    """Envoy with a service's files, in folders and on ports of this test; gives what stands for what."""
    places = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    if triton is not None:
        places |= {'"triton-webservice-replicas"': '"127.0.0.1"', '"port_value": 8000': f'"port_value": {triton.port}'}
    for name in ("configuration", "keys", "certificate"):
        (folder / name).mkdir()
        places[f"/etc/gateway/{name}"] = str(folder / name)
    places["/run/gateway"] = str(folder)
    files = {f"configuration/{name}": text for name, text in gateway_files(options).items()}
    files |= {f"keys/{KEYS_FILE}": render_keys(KEYS)[KEYS_FILE]}
    files |= {"certificate/tls.crt": certificate["certificate.pem"], "certificate/tls.key": certificate["key.pem"]}
    for name, text in files.items():
        (folder / name).write_text(here(text, places))
    log = folder / "envoy.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            envoy_command.command(str(folder / "configuration" / BOOTSTRAP_FILE)),
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
    try:
        Admin(folder / "admin.sock", log=log).await_ready(20)
        yield places
    finally:
        process.kill()
        process.wait()


def here(text, places):
    return re.sub("|".join(map(re.escape, places)), lambda found: places[found[0]], text)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "changed", [{}, TLS, {"deployment": {"authEnabled": False}}, CLIENTS], ids=["keys", "TLS", "open", "clients"]
)
def test_envoy_takes_every_file(options, tmp_path, certificate, shape, changed):
    (tmp_path / "envoy").mkdir()
    with running(options(shape=shape, **changed), tmp_path / "envoy", certificate):
        versions = Admin(tmp_path / "envoy" / "admin.sock").versions()
    assert {"listeners.json", "clusters.json", "routes.json"} <= set(versions)
    assert ("tls.json" in versions) == ("tls" in changed)
    assert (KEYS_FILE in versions) == ("deployment" not in changed)


@contextlib.contextmanager
def closing(rendered, options, folder, certificate, triton):
    """A client, connected, and the process of the hook that runs before Envoy's end, with tenths for seconds."""
    folder.mkdir()
    hook = rendered(deployment=SLOW).envoy["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    with running(options(deployment=SLOW), folder, certificate, triton) as places:
        client = http.client.HTTPConnection("127.0.0.1", int(places["8080"]), timeout=30)
        assert not answered(client, "/v2/health/ready").will_close
        quicker = re.sub(r"sleep (\d+)", lambda found: f"sleep {int(found[1]) / 10}", here(hook[-1], places))
        process = subprocess.Popen([*hook[:-1], quicker], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            yield client, process
        finally:
            process.kill()
            said, _ = process.communicate()
    assert said == b""


SLOW = {"authEnabled": False, "scoringTimeoutMs": 600_000}  # for which the hook waits at most


@pytest.fixture
def triton():
    with upstream("triton") as server:
        yield server


def test_an_envoy_that_ends_fails_its_health_check_and_parts_from_its_clients(
    options, rendered, tmp_path, certificate, triton: Upstream
):
    with closing(rendered, options, tmp_path / "envoy", certificate, triton) as (client, hook):
        eventually(lambda: answered(client, "/healthz", expected=None).status == 503)
        assert answered(client, "/v2/health/ready").will_close
        hook.wait(20)  # nobody asks any more: long before the ten minutes that a request may take


def test_an_envoy_that_ends_waits_for_the_last_request(options, rendered, tmp_path, certificate, triton: Upstream):
    with closing(rendered, options, tmp_path / "envoy", certificate, triton) as (client, hook):
        answers = []
        asking = threading.Thread(target=lambda: answers.append(answered(client, "/v2/models/m?wait")))
        asking.start()
        eventually(lambda: triton.waiting == 1)
        with pytest.raises(subprocess.TimeoutExpired):
            hook.wait(4)
        triton.let_go()
        asking.join(10)
        assert answers[0].will_close
        hook.wait(20)


def answered(client, path, expected=200):
    client.request("GET", path)
    answer = client.getresponse()
    answer.read()
    assert expected in (None, answer.status)
    return answer
