"""The front door's pod on a real Envoy: it takes every file, and parts from its clients before it ends."""

import contextlib
import http.client
import re
import socket
import subprocess

import pytest

from gateway import envoy
from gateway.admin import Admin
from gateway.config import BOOTSTRAP_FILE, render_keys
from gateway.listener import KEYS_FILE
from node_pool.gateway_files import gateway_files
from tests.node_pool.conftest import KEYS, SHAPES

TLS = {"tls": {"certificateFile": "certificate.pem", "keyFile": "key.pem"}}
PORTS = ("8080", "9901", "9902")


def free_ports(count):
    with contextlib.ExitStack() as held:
        holders = [held.enter_context(socket.socket()) for _ in range(count)]
        for holder in holders:
            holder.bind(("127.0.0.1", 0))
        return [str(holder.getsockname()[1]) for holder in holders]


@contextlib.contextmanager
def running(options, folder, certificate):
    """Envoy with a service's files, in folders and on ports of this test; gives what stands for what."""
    places = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
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
            envoy.command(str(folder / "configuration" / BOOTSTRAP_FILE)), stdout=subprocess.DEVNULL, stderr=errors
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
@pytest.mark.parametrize("changed", [{}, TLS, {"deployment": {"authEnabled": False}}], ids=["keys", "TLS", "open"])
def test_envoy_takes_every_file(options, tmp_path, certificate, shape, changed):
    (tmp_path / "envoy").mkdir()
    with running(options(shape=shape, **changed), tmp_path / "envoy", certificate):
        versions = Admin(tmp_path / "envoy" / "admin.sock").versions()
    assert {"listeners.json", "clusters.json", "routes.json"} <= set(versions)
    assert ("tls.json" in versions) == ("tls" in changed)
    assert (KEYS_FILE in versions) == ("deployment" not in changed)


def test_the_hook_before_its_end_parts_it_from_its_clients(options, rendered, tmp_path, certificate):
    (tmp_path / "envoy").mkdir()
    (container,) = rendered().envoy["containers"]
    hook = container["lifecycle"]["preStop"]["exec"]["command"]
    with running(options(), tmp_path / "envoy", certificate) as places:
        client = http.client.HTTPConnection("127.0.0.1", int(places["8080"]), timeout=10)
        client.request("GET", "/v2/health/ready")
        assert not answered(client).will_close
        shortened = re.sub(r"sleep \d+", "sleep 0.1", here(hook[-1], places))
        subprocess.run([*hook[:-1], shortened], check=True, timeout=20)
        client.request("GET", "/v2/health/ready")
        assert answered(client).will_close


def answered(client):
    answer = client.getresponse()
    answer.read()
    assert answer.status == 401
    return answer
