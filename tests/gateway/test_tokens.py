"""Clients that send tokens of an issuer: whose tokens open, and what an issuer that rotates or hangs does to them."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway import envoy_files, envoy_folder
from gateway.clients import Client, Jwt
from gateway.front_door_options import Options, Upstreams
from gateway.issuers import SKEW_SECONDS
from tests.certificates import Authority
from tests.gateway.conftest import Answer, Gateway, Hammer, Upstream, running, triton_of
from tests.gateway.issuer import AUDIENCE, URL, Issuer, issuing
from tests.waiting import eventually

CARES = "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"


def clients_of(issuer: Issuer) -> tuple[Client, ...]:
    def jwt(**changes: Any) -> Jwt:
        return Jwt(**{"issuer": URL, "audience": AUDIENCE, "jwks_uri": issuer.jwks_uri, **changes})

    return (
        Client(name="batch", jwt=jwt(claims={"roles": "scorer"}), models=("wine",)),
        Client(name="nightly", jwt=jwt(claims={"roles": "nightly", "tenant": "a.b+c"}), requests_per_second=1000),
        Client(name="nested", jwt=jwt(claims={"realm_access.roles": "nested"})),
        Client(name="named", jwt=jwt(claims={"https://example.org/roles": "named"})),
        Client(name="other", jwt=jwt(audience="other")),
        Client(name="keyed"),
    )


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as started:
        yield started


@pytest.fixture(scope="module")
def door(
    tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, echo: Upstream, scorer_echo: Upstream
) -> Iterator[Gateway]:
    upstreams = Upstreams(triton_of(echo), scorer_echo.address)
    with running(tmp_path_factory.mktemp("tokens"), upstreams, clients=clients_of(issuer)) as gateway:
        eventually(lambda: issuer.fetches > 0)
        yield gateway


def ask(door: Gateway, token: str, path: str = "/") -> Answer:
    return door.ask("GET", path, headers={"Authorization": f"Bearer {token}"}, key=None)


def name(answer: Answer) -> str | None:
    return answer.json()["headers"]["x-client-name"] if answer.status == 200 else None


@pytest.mark.parametrize("roles", ["scorer", ["reader", "scorer"], "reader scorer", "scorer reader"])
def test_a_token_with_the_claims_opens_in_its_clients_name(door: Gateway, issuer: Issuer, roles: Any) -> None:
    answer = ask(door, issuer.token(roles=roles))
    assert name(answer) == "batch"
    assert "authorization" not in answer.json()["headers"]
    for scheme in ("bearer", "BEARER"):
        sent = {"Authorization": f"{scheme} {issuer.token(roles=roles)}"}
        assert name(door.ask("GET", "/", headers=sent, key=None)) == "batch"
    assert not [value for value in answer.json()["headers"].values() if "eyJ" in value]


@pytest.mark.parametrize("roles", [None, "", "scorers", "ascorer", ["scorers"], {"scorer": 1}, 5, "reader,scorer"])
def test_a_token_without_the_claims_opens_nothing(door: Gateway, issuer: Issuer, roles: Any) -> None:
    assert ask(door, issuer.token(roles=roles)).status == 401


def test_every_claim_must_be_there(door: Gateway, issuer: Issuer) -> None:
    assert name(ask(door, issuer.token(roles="nightly", tenant="a.b+c"))) == "nightly"
    for tenant in (None, "axb+c", "a.bbc", "a.b+c2"):
        assert ask(door, issuer.token(roles="nightly", tenant=tenant)).status == 401


def test_a_claim_may_be_nested_or_have_dots_in_its_name(door: Gateway, issuer: Issuer) -> None:
    for claims, client in (
        ({"realm_access": {"roles": ["reader", "nested"]}}, "nested"),
        ({"realm_access.roles": "nested"}, "nested"),
        ({"https://example.org/roles": ["named"]}, "named"),
        ({"realm_access": {"roles": ["named"]}}, None),
        ({"realm_access": "nested"}, None),
        ({"realm_access": {"more": {"roles": "nested"}}}, None),
        ({"roles": {"realm_access": "nested"}}, None),
    ):
        assert name(ask(door, issuer.token(**claims))) == client, claims


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1}, "Jwt is expired"),
        ({"nbf": 2**40}, "Jwt not yet valid"),
        ({"aud": "somebody"}, "Audiences in Jwt are not allowed"),
        ({"roles": "reader"}, "its claims are those of no client"),
        ({"exp": "soon"}, "Jwt payload [exp] field is not an integer"),
    ],
)
def test_a_refused_token_gets_the_reason(door: Gateway, issuer: Issuer, claims: dict[str, Any], reason: str) -> None:
    answer = ask(door, issuer.token(**claims))
    challenge = f'Bearer realm="service", error="invalid_token", error_description="{reason}"'
    assert (answer.status, answer.headers["www-authenticate"]) == (401, challenge)
    assert answer.json() == {"error": f"the token is refused: {reason}"}


def test_a_forged_token_gets_no_more_reason_than_that(door: Gateway, issuer: Issuer) -> None:
    with issuing() as stranger:
        answer = ask(door, stranger.token(roles="scorer"))
    assert answer.json() == {"error": "the token is refused: Jwt verification fails"}
    for token in ("wrong-key-wrong-key", "a.b.c", issuer.token(iss="https://evil.example.org")):
        answer = ask(door, token)
        assert answer.headers["www-authenticate"] == 'Bearer realm="service", error="invalid_token"'
        assert answer.json()["error"].startswith("the key or token is missing or wrong")


def test_one_of_several_audiences_is_enough(door: Gateway, issuer: Issuer) -> None:
    assert name(ask(door, issuer.token(roles="scorer", aud=["x", AUDIENCE]))) == "batch"
    assert name(ask(door, issuer.token(aud="other"))) == "other"


def test_a_tokens_client_is_bound_as_others_are(door: Gateway, issuer: Issuer) -> None:
    token = issuer.token(roles="scorer")
    assert name(ask(door, token, "/v2/models/wine")) == "batch"
    refused = ask(door, token, "/v2/models/churn")
    assert (refused.status, "not granted the model 'churn'" in refused.json()["error"]) == (403, True)


def test_keys_go_on_beside_tokens(door: Gateway) -> None:
    assert name(door.ask("GET", "/")) == "default"
    assert name(door.ask("GET", "/", key=door.client_keys["keyed"].primary)) == "keyed"


def test_the_clock_may_be_a_little_off(door: Gateway, issuer: Issuer) -> None:
    now = int(time.time())
    assert name(ask(door, issuer.token(roles="scorer", exp=now - SKEW_SECONDS + 20))) == "batch"
    assert name(ask(door, issuer.token(roles="scorer", nbf=now + SKEW_SECONDS - 20))) == "batch"


def attacks(issuer: Issuer) -> dict[str, str]:
    now = int(time.time())
    head, _, signature = issuer.token(roles="scorer").split(".")
    claims = {"iss": URL, "aud": AUDIENCE, "roles": "scorer", "exp": now + 600}
    forged = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "root"}).encode()).rstrip(b"=").decode()
    with issuing() as stranger:
        foreign = stranger.token(roles="scorer")
        embedded = stranger.token(roles="scorer", head={"jwk": stranger.jwks()["keys"][0]})
        pointing = stranger.token(roles="scorer", head={"jku": stranger.jwks_uri})
    return {
        "expired": issuer.token(roles="scorer", exp=now - SKEW_SECONDS - 5),
        "without an end": issuer.token(roles="scorer", exp=None),
        "not in force yet": issuer.token(roles="scorer", nbf=now + SKEW_SECONDS + 60),
        "of another audience": issuer.token(roles="scorer", aud="somebody"),
        "of no audience": issuer.token(roles="scorer", aud=None),
        "of another issuer": issuer.token(roles="scorer", iss="https://evil.example.org"),
        "of no issuer": issuer.token(roles="scorer", iss=None),
        "alg none": issuer.unsigned(roles="scorer"),
        "alg None": issuer.unsigned("None", roles="scorer"),
        "alg none with a signature": issuer.unsigned(roles="scorer") + signature,
        "HS256 with the public key": issuer.signed_with_the_public_key(Encoding.PEM, roles="scorer"),
        "HS256 with the public key's bytes": issuer.signed_with_the_public_key(Encoding.DER, roles="scorer"),
        "signed by a stranger": foreign,
        "with a key in its head": embedded,
        "with the address of keys in its head": pointing,
        "of a key that nobody knows": issuer.token(roles="scorer", head={"kid": "key-0"}),
        "with other claims than signed": f"{head}.{forged}.{signature}",
        "without a signature": f"{head}.{forged}.",
        "cut off": issuer.token(roles="scorer")[:-10],
        "no token": "a.b.c",
        "large": issuer.token(roles="scorer", aud="x" * 30_000),
    }


def test_no_other_token_opens(door: Gateway, issuer: Issuer) -> None:
    for what, token in attacks(issuer).items():
        answer = ask(door, token)
        assert answer.status == 401, what
        assert answer.headers["www-authenticate"].startswith('Bearer realm="service", error="invalid_token"')
        assert token not in answer.body.decode()
    shown = door.access_log.read_text() + door.log.read_text() + door.stats("/stats/prometheus").body.decode()
    assert "eyJ" not in shown


def test_an_oversized_token_is_refused_and_the_door_goes_on(door: Gateway, issuer: Issuer) -> None:
    assert ask(door, issuer.token(roles="scorer", more="x" * 200_000)).status == 431
    assert name(ask(door, issuer.token(roles="scorer"))) == "batch"


def test_over_grpc_a_bad_token_is_unauthenticated(door: Gateway, issuer: Issuer) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{door.options.listen.port}") as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ServerReady")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", metadata=[("authorization", f"Bearer {issuer.token(aud='x')}")], timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "the token is refused: Audiences in Jwt are not allowed" in str(refused.value.details())


def hurried(gateway: Gateway, seconds: int = 2) -> None:
    """Have the door fetch the keys anew so often."""
    text = (gateway.directory / "listeners.json").read_text()
    soon = text.replace('"cache_duration": "60s"', f'"cache_duration": "{seconds}s"')
    assert soon != text
    soon = soon.replace(envoy_files.version(text), "hurried")
    envoy_folder.replace(gateway.directory, {"listeners.json": soon}, gateway.admin)


@pytest.fixture
def changing(tmp_path: Path, echo: Upstream, scorer_echo: Upstream) -> Iterator[tuple[Gateway, Issuer]]:
    with issuing() as own:
        upstreams = Upstreams(triton_of(echo), scorer_echo.address)
        with running(tmp_path, upstreams, clients=clients_of(own)) as gateway:
            hurried(gateway)
            yield gateway, own


def test_rotated_keys_are_fetched_and_withdrawn_ones_forgotten(changing: tuple[Gateway, Issuer]) -> None:
    door, issuer = changing
    old = issuer.token(aud="other")
    eventually(lambda: ask(door, old).status == 200)
    issuer.rotate()
    eventually(lambda: ask(door, issuer.token(aud="other")).status == 200)
    eventually(lambda: ask(door, old).status == 401)


def test_an_issuer_that_hangs_keeps_its_known_keys_in_use_and_nobody_waits(changing: tuple[Gateway, Issuer]) -> None:
    door, issuer = changing
    token = issuer.token(aud="other")
    eventually(lambda: ask(door, token).status == 200)
    issuer.answers.clear()
    before = issuer.fetches
    eventually(lambda: issuer.fetches > before)
    with Hammer(door) as hammer:
        ends = time.monotonic() + 6  # longer than a fetch may take
        while time.monotonic() < ends:
            asked = time.monotonic()
            assert ask(door, token).status == 200
            assert time.monotonic() - asked < 1
            time.sleep(0.1)
    assert set(hammer.statuses) == {200}
    eventually(lambda: b"jwks_fetch_failed" in door.stats("/stats/prometheus").body)
    failed = [
        line for line in door.stats("/stats/prometheus").body.splitlines() if b"jwt_authn_jwks_fetch_failed" in line
    ]
    assert any(not line.endswith(b" 0") for line in failed), failed
    issuer.answers.set()
    issuer.rotate()
    eventually(lambda: ask(door, issuer.token(aud="other")).status == 200)


def test_a_door_opens_while_an_issuer_is_away(tmp_path: Path, scorer_echo: Upstream) -> None:
    with issuing() as issuer:
        issuer.answers.clear()
        with running(tmp_path, Upstreams(scorer=scorer_echo.address), clients=clients_of(issuer)) as door:
            assert door.ask("GET", "/").status == 200
            issuer.answers.set()
            eventually(lambda: ask(door, issuer.token(aud="other")).status == 200)


def test_a_door_opens_where_an_issuers_name_is_unknown(tmp_path: Path, scorer_echo: Upstream) -> None:
    jwt = Jwt(issuer=URL, audience=AUDIENCE, jwks_uri="https://nowhere.invalid/keys")
    clients = (Client(name="nightly", jwt=jwt), Client(name="keyed"))
    with running(tmp_path, Upstreams(scorer=scorer_echo.address), clients=clients) as door:
        assert name(door.ask("GET", "/", key=door.client_keys["keyed"].primary)) == "keyed"
        assert ask(door, "a.b.c").status == 401


def test_a_door_opens_while_nobody_resolves_an_issuers_name(tmp_path: Path, scorer_echo: Upstream) -> None:
    jwt = Jwt(issuer=URL, audience=AUDIENCE, jwks_uri="https://nowhere.invalid/keys")
    upstreams, clients = Upstreams(scorer=scorer_echo.address), (Client(name="nightly", jwt=jwt),)
    rendered = json.loads(envoy_files.render(Options(upstreams, str(tmp_path), clients=clients))["clusters.json"])
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as silent:
        silent.bind(("127.0.0.1", 0))
        resolver = {"socket_address": {"address": "127.0.0.1", "port_value": silent.getsockname()[1]}}
        for cluster in rendered["resources"]:
            if cluster["type"] == "STRICT_DNS":
                cluster["typed_dns_resolver_config"] = {
                    "name": "envoy.network.dns_resolver.cares",
                    "typed_config": {"@type": CARES, "resolvers": [resolver]},
                }
        began = time.monotonic()
        files = {"clusters.json": json.dumps(rendered)}
        with running(tmp_path, upstreams, clients=clients, rewritten=files) as door:
            assert door.ask("GET", "/").status == 200
            assert silent.recv(512), "nobody was asked for the name"
            assert time.monotonic() - began < 10
            assert ask(door, "a.b.c").status == 401


def test_the_first_request_of_a_door_may_have_a_token(tmp_path: Path, scorer_echo: Upstream) -> None:
    with issuing() as issuer:
        for number in range(3):
            upstreams = Upstreams(scorer=scorer_echo.address)
            with running(tmp_path / f"{number}", upstreams, clients=clients_of(issuer)) as door:
                assert name(ask(door, issuer.token(aud="other"))) == "other"


def test_the_issuers_server_must_be_the_one_that_its_authority_vouches_for(
    tmp_path: Path, scorer_echo: Upstream
) -> None:
    right, wrong = Authority(tmp_path / "right"), Authority(tmp_path / "wrong")
    with issuing(right.issue((NameOID.COMMON_NAME, "login"))) as issuer:
        for number, (ca, status) in enumerate(((right.pem, 200), (wrong.pem, 401))):
            jwt = Jwt(issuer=URL, audience=AUDIENCE, jwks_uri=issuer.jwks_uri, ca=ca)
            clients = (Client(name="batch", jwt=jwt),)
            with running(tmp_path / f"{number}", Upstreams(scorer=scorer_echo.address), clients=clients) as door:
                eventually(lambda door=door: b"jwks_fetch" in door.stats("/stats/prometheus").body)
                eventually(lambda door=door, status=status: ask(door, issuer.token()).status == status)
    with issuing(right.issue((NameOID.COMMON_NAME, "login"), host="other.example.org")) as issuer:
        clients = (
            Client(name="batch", jwt=Jwt(issuer=URL, audience=AUDIENCE, jwks_uri=issuer.jwks_uri, ca=right.pem)),
        )
        with running(tmp_path / "other", Upstreams(scorer=scorer_echo.address), clients=clients) as door:
            assert ask(door, issuer.token()).status == 401
