"""Clients of a service that is up: each gets its own keys as outputs, its own models, and goes without a trace."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.x509.oid import NameOID

from targets.machine.ports import free_ports
from tests.certificates import Authority, make_certificate
from tests.e2e.project import Project, hammering, project
from tests.gateway.issuer import AUDIENCE, URL, Issuer, issuing

NAMING = '''\
"""An entry script that answers with the client's name, as the front door gives it."""
from azureml.contrib.services.aml_request import rawhttp


def init():
    pass


@rawhttp
def run(request):
    return {"client": request.headers.get("x-client-name")}
'''
CHECKOUT: dict[str, Any] = {"name": "checkout", "models": ["digits"], "requestsPerSecond": 1000, "maxConcurrent": 8}
SCORER: dict[str, Any] = {"name": "scorer", "models": [], "score": True}


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as started:
        yield started


@pytest.fixture(scope="module")
def nightly(issuer: Issuer) -> dict[str, Any]:
    """A client that sends tokens."""
    jwt = {"issuer": URL, "audience": AUDIENCE, "jwksUri": issuer.jwks_uri, "claims": {"roles": "scorer"}}
    return {"name": "nightly", "jwt": jwt}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, nightly: dict[str, Any]) -> Iterator[Project]:
    with project(tmp_path_factory.mktemp("e2e") / "project") as made:
        made.add_model("digits")
        made.write_script(NAMING)
        made.write_settings(entryScript="score.py", clients=[CHECKOUT, SCORER, nightly])
        made.up()
        yield made


def ask(deployed: Project, key: str, path: str, method: str = "GET") -> httpx.Response:
    body = {"json": {}} if method == "POST" else {}
    return httpx.request(method, deployed.url + path, headers={"Authorization": f"Bearer {key}"}, timeout=30, **body)


def test_each_client_has_two_keys_that_open_what_it_is_granted(deployed: Project) -> None:
    outputs = deployed.outputs()
    keys = outputs["clientKeys"]
    both = ["primary", "secondary"]
    assert {name: sorted(pair) for name, pair in keys.items()} == {"checkout": both, "scorer": both}
    for which in ("primary", "secondary"):
        assert ask(deployed, keys["checkout"][which], "/v2/models/digits").status_code == 200
        assert ask(deployed, keys["scorer"][which], "/score", "POST").json() == {"client": "scorer"}
    assert ask(deployed, outputs["primaryKey"], "/score", "POST").json() == {"client": "default"}
    assert ask(deployed, keys["checkout"]["primary"], "/score", "POST").status_code == 403
    assert ask(deployed, keys["scorer"]["primary"], "/v2/models/digits").status_code == 403


def test_a_token_opens_in_its_clients_name(deployed: Project, issuer: Issuer) -> None:
    assert ask(deployed, issuer.token(roles="scorer"), "/score", "POST").json() == {"client": "nightly"}
    assert ask(deployed, issuer.token(roles="reader"), "/score", "POST").status_code == 401


def test_their_keys_are_encrypted_in_the_state_and_hidden_in_outputs(deployed: Project) -> None:
    keys = [key for pair in deployed.outputs()["clientKeys"].values() for key in pair.values()]
    shown = deployed.engine("stack", "output", "--json", "--stack", deployed.stack).text
    state = "".join(file.read_text() for file in (deployed.root / ".var" / "backend").rglob("*.json"))
    preview = deployed.engine("preview", "--diff", "--stack", deployed.stack).text
    assert not [key for key in keys for text in (shown, state, preview) if key in text]
    assert json.loads(shown)["clientKeys"] == "[secret]"
    elsewhere = "".join(
        file.read_text(errors="replace")
        for file in Path(deployed.directory.root).rglob("*")
        if file.is_file() and file.name != "keys.json" and not file.is_symlink() and file.stat().st_size < 10**6
    )
    assert not [key for key in keys if key in elsewhere]


def test_nothing_changes_where_nothing_did(deployed: Project) -> None:
    assert "unchanged" in deployed.up()
    assert deployed.outputs()["clientKeys"]


def test_a_rotated_key_changes_alone_and_a_removed_client_is_out_after_the_up(
    deployed: Project, nightly: dict[str, Any]
) -> None:
    before = deployed.outputs()["clientKeys"]
    pid = deployed.pids["envoy"]
    headers = {"Authorization": f"Bearer {before['checkout']['primary']}"}

    def wrong(client: httpx.Client) -> str | None:
        answer = client.get("/v2/models/digits")
        return None if answer.status_code == 200 else f"{answer.status_code} {answer.text}"

    deployed.write_settings(clients=[{**CHECKOUT, "keyRotation": {"secondary": 2}}, nightly])
    with hammering(wrong, lambda: httpx.Client(base_url=deployed.url, headers=headers, timeout=30)) as seen:
        deployed.up()
    assert (seen.wrong, seen.answers > 20) == ([], True)
    after = deployed.outputs()["clientKeys"]
    assert after["checkout"]["primary"] == before["checkout"]["primary"]
    assert after["checkout"]["secondary"] != before["checkout"]["secondary"]
    assert ask(deployed, before["checkout"]["secondary"], "/v2/models/digits").status_code == 401
    assert ask(deployed, after["checkout"]["secondary"], "/v2/models/digits").status_code == 200
    for key in before["scorer"].values():
        assert ask(deployed, key, "/score", "POST").status_code == 401
    assert deployed.pids["envoy"] == pid


def test_a_certificate_opens_and_an_issuer_without_keys_is_told(deployed: Project) -> None:
    make_certificate(deployed.root / "tls")
    authority = Authority(deployed.root / "ca")
    shown = authority.issue((NameOID.ORGANIZATION_NAME, "Example"), (NameOID.COMMON_NAME, "edge"))
    edge = {"name": "edge", "certificate": {"caFile": "ca/ca.pem", "subject": "CN=edge,O=Example"}}
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}/keys"
    lost = {"name": "lost", "jwt": {"issuer": "https://lost.example.org", "audience": AUDIENCE, "jwksUri": nobody}}
    deployed.write_settings(clients=[edge, lost], tls={"certificateFile": "tls/tls.crt", "keyFile": "tls/tls.key"})
    assert f"the issuer https://lost.example.org gives the front door no keys at {nobody}" in deployed.up()
    trusted = ssl.create_default_context(cafile=str(deployed.root / "tls" / "tls.crt"))
    url = f"https://localhost:{deployed.port}/score"
    with httpx.Client(verify=trusted, timeout=30) as client:
        assert client.post(url, json={}).status_code == 401
    trusted.load_cert_chain(shown)
    with httpx.Client(verify=trusted, timeout=30) as client:
        assert client.post(url, json={}).json() == {"client": "edge"}
    deployed.write_settings(tls=None)


def test_a_mistake_in_a_client_is_told_at_preview(deployed: Project) -> None:
    deployed.write_settings(clients=[{**CHECKOUT, "models": ["digit"]}])
    text = deployed.engine("preview", "--stack", deployed.stack).text
    deployed.write_settings(clients=[CHECKOUT])
    assert "clients[0].models[0] has the value 'digit': is no model of this service; expected one of digits" in text
