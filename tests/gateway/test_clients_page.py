"""What `docs/clients.md` quotes of clients is what a front door answers, and its settings are settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gateway.front_door_options import Upstreams
from settings.clients import ClientSettings, door_clients
from tests.examples.page import Page
from tests.gateway.conftest import Answer, Gateway, Upstream, running, triton_of

PAGE = Page("clients.md")


def declared(name: str) -> ClientSettings:
    """A client of the page's settings."""
    (text,) = [block for block in PAGE.blocks("yaml") if f"name: {name}" in block]
    return ClientSettings.model_validate(yaml.safe_load(text)["triton-serving:clients"][0])


@pytest.fixture
def door(tmp_path: Path, echo: Upstream, scorer_echo: Upstream) -> Iterator[Gateway]:
    clients = door_clients([declared("checkout")])
    with running(tmp_path, Upstreams(triton_of(echo), scorer_echo.address), clients=clients) as gateway:
        yield gateway


def quoted(answer: Answer) -> bool:
    """Whether the page has the status, the challenge and the error of an answer."""
    challenge = answer.headers.get("www-authenticate", "")
    lines = [f"HTTP/1.1 {answer.status} ", json.dumps(answer.json(), separators=(",", ":"))]
    lines += [f"www-authenticate: {challenge}"] if challenge else [f"retry-after: {answer.headers['retry-after']}"]
    return all(line in PAGE.text for line in lines)


def test_refusals_are_quoted_as_they_are(door: Gateway) -> None:
    key = door.client_keys["checkout"].primary
    assert door.ask("GET", "/v2/models/digits", key=key).status == 200
    assert quoted(door.ask("GET", "/v2/models/churn", key=key))
    assert quoted(door.ask("GET", "/v2", key="wrong-wrong-wrong-wrong"))
    answers = [door.ask("POST", "/v2/models/digits/infer", b"{}", key=key) for _ in range(40)]
    assert quoted(next(answer for answer in answers if answer.status == 429))


def test_the_settings_of_each_kind_of_client_are_settings() -> None:
    assert declared("checkout").has_keys
    assert declared("nightly").jwt is not None
    certificate = declared("edge").certificate
    assert certificate is not None
    assert f"subject={certificate.subject}" in PAGE.text
