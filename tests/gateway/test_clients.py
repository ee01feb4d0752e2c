"""Clients with keys of their own: who they are, what each may ask for, and how a client comes and goes."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import envoy_files, envoy_folder
from gateway.clients import Client
from gateway.front_door_options import Upstreams
from gateway.keys import Keys, make_key
from tests.gateway.conftest import Answer, Gateway, Hammer, Upstream, made_keys, running, triton_of

WINE = Client(name="checkout", models=("wine", "wine-2"))
SCORER = Client(name="scorer", models=(), score=True)
BATCH = Client(name="batch")
INFER = "/v2/models/wine/infer"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, echo: Upstream, scorer_echo: Upstream) -> Iterator[Gateway]:
    """Three clients. Shared: tests must not change its files."""
    upstreams = Upstreams(triton_of(echo), scorer_echo.address)
    with running(tmp_path_factory.mktemp("clients"), upstreams, clients=(WINE, SCORER, BATCH)) as gateway:
        yield gateway


@pytest.fixture
def changing(tmp_path: Path, echo: Upstream, scorer_echo: Upstream) -> Iterator[Gateway]:
    upstreams = Upstreams(triton_of(echo), scorer_echo.address)
    with running(tmp_path, upstreams, clients=(WINE, BATCH)) as gateway:
        yield gateway


def ask(door: Gateway, client: str, path: str, method: str = "GET", **headers: str) -> Answer:
    key = door.client_keys[client].primary
    return door.ask(method, path, b"{}" if method == "POST" else None, headers, key=key)


def install(door: Gateway, *clients: Client, **keys: Keys) -> list[str]:
    """Give a running door these clients, and new keys to those that are named."""
    options = dataclasses.replace(door.options, clients=clients)
    door.client_keys.update(keys)
    rendered = envoy_files.render(options) | envoy_files.render_keys(door.keys, clients, door.client_keys)
    return envoy_folder.install(door.directory, rendered, door.admin)


def test_either_key_of_a_client_opens_and_servers_get_its_name(door: Gateway) -> None:
    for client, keys in door.client_keys.items():
        for key in (keys.primary, keys.secondary):
            for scheme in ("Bearer", "bearer", "BEARER"):
                answer = door.ask("GET", "/", headers={"Authorization": f"{scheme} {key}"}, key=None)
                assert (answer.status, answer.json()["headers"]["x-client-name"]) == (200, client)
    assert door.ask("GET", "/").json()["headers"]["x-client-name"] == "default"


def test_keys_that_are_alike_open_nothing(door: Gateway) -> None:
    key = door.client_keys["batch"].primary
    for wrong in (key[:-1], key + "x", key.swapcase(), f" {key}", f"{key},{key}", make_key()):
        assert door.ask("GET", "/", key=wrong).status == 401


@pytest.mark.parametrize("header", ["X-Client-Name", "x-client-name", "X-CLIENT-NAME", "x_client_name"])
def test_no_client_names_itself(door: Gateway, header: str) -> None:
    arrived = ask(door, "batch", "/", **{header: "default"}).json()["headers"]
    assert [value for name, value in arrived.items() if name.replace("_", "-") == "x-client-name"] == ["batch"]
    assert ask(door, "checkout", "/v2/models/churn", **{header: "batch"}).status == 403
    assert door.ask("GET", "/", headers={header: "batch"}, key=None).status == 401


def test_nor_does_anybody_where_no_key_is_asked(tmp_path: Path, scorer_echo: Upstream) -> None:
    with running(tmp_path, Upstreams(scorer=scorer_echo.address), auth_enabled=False) as gateway:
        sent = {"X-Client-Name": "root", "x_client_name": "root"}
        arrived = gateway.ask("POST", "/score", b"{}", sent, key=None).json()["headers"]
        assert not [name for name in arrived if "client" in name]


def test_a_refused_key_is_told_as_rfc_6750_wants_it(door: Gateway) -> None:
    without = door.ask("GET", "/", key=None)
    assert without.headers["www-authenticate"] == 'Bearer realm="service"'
    assert door.ask("GET", "/", headers={"Authorization": "Basic eDp5"}, key=None).headers["www-authenticate"] == (
        'Bearer realm="service"'
    )
    wrong = door.ask("GET", "/", key=make_key())
    assert (wrong.status, wrong.headers["www-authenticate"]) == (401, 'Bearer realm="service", error="invalid_token"')
    assert wrong.headers["content-type"] == "application/json"
    assert "Authorization: Bearer <key>" in wrong.json()["error"]


@pytest.mark.parametrize("model", ["wine", "wine-2"])
@pytest.mark.parametrize("version", ["", "/versions/3"])
def test_a_client_infers_with_and_sees_the_models_that_it_is_granted(door: Gateway, model: str, version: str) -> None:
    path = f"/v2/models/{model}{version}"
    for verb in ("infer", "generate", "generate_stream"):
        assert ask(door, "checkout", f"{path}/{verb}", "POST").status == 200
    for read in ("", "/ready", "/config", "/stats", "?x=1"):
        assert ask(door, "checkout", path + read).status == 200


@pytest.mark.parametrize(
    "model", ["churn", "wine-3", "win", "wine%2D2", "WINE", "stats", "wine wine-2", "*", "default"]
)
@pytest.mark.parametrize("rest", ["", "/infer", "/versions/1/infer", "/generate", "/stats", "/ready", "?m=wine"])
def test_other_models_are_403_and_named(door: Gateway, echo: Upstream, model: str, rest: str) -> None:
    before = echo.requests
    method = "POST" if rest.endswith(("infer", "generate")) else "GET"
    answer = ask(door, "checkout", f"/v2/models/{model}{rest}".replace(" ", "%20"), method)
    assert answer.status == (403 if "%2D" not in model else 200)
    if answer.status == 403:
        assert answer.headers["www-authenticate"] == 'Bearer realm="service", error="insufficient_scope"'
        assert answer.json()["error"].startswith("the client 'checkout' is not granted the model '")
        assert answer.headers["content-type"] == "application/json"
        assert echo.requests == before


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/wine/../churn/infer",
        "/v2/models/./churn/infer",
        "/v2//models/churn/infer",
        "//v2/models/churn/infer",
        "/v2/models/wine/%2e%2e/churn/infer",
        "/v2/models/churn%2finfer",
        "/v2/models/wine%2f..%2fchurn/infer",
        "/v2/models/wine;/churn/infer",
        "/v2/models/churn;wine/infer",
        "/v2/models/wine\\..\\churn/infer",
        "/v2/models/",
        "/v2/models",
        "/x/../v2/models/churn/infer",
        "/score/../v2/models/churn/infer",
        "/%76%32/models/churn/infer",
        "/v2/models/ch%75rn/infer",
    ],
)
def test_no_spelling_of_a_path_leads_to_another_model(door: Gateway, echo: Upstream, path: str) -> None:
    before = echo.requests
    assert ask(door, "checkout", path, "POST").status in (400, 403, 404)
    assert echo.requests == before


def test_scores_need_a_grant_beside_models(door: Gateway) -> None:
    answer = ask(door, "checkout", "/score", "POST")
    assert (answer.status, answer.json()["error"]) == (403, "the client 'checkout' is not granted /score")
    assert ask(door, "checkout", "/score?wine", "POST").status == 403
    assert ask(door, "scorer", "/score", "POST").status == 200
    assert ask(door, "scorer", INFER, "POST").status == 403
    assert ask(door, "batch", "/score", "POST").status == 200


def test_health_and_description_are_everybodys_and_the_rest_is_nobodys(door: Gateway) -> None:
    for client in door.client_keys:
        for path in ("/", "/swagger.json", "/v2", "/v2/health/live", "/v2/health/ready"):
            assert ask(door, client, path).status == 200
        assert ask(door, client, "/v2/repository/index", "POST").status == 404


def test_the_default_client_and_clients_without_models_may_ask_for_everything(door: Gateway) -> None:
    for path in (INFER, "/v2/models/churn/infer", "/score"):
        assert door.ask("POST", path, b"{}").status == 200
        assert ask(door, "batch", path, "POST").status == 200


def test_a_client_comes_and_goes_with_no_dropped_connection(changing: Gateway) -> None:
    keys = changing.client_keys["batch"]
    with contextlib.closing(changing.connect()) as own, Hammer(changing) as hammer:
        for _ in range(3):
            assert changing.ask("POST", "/score", b"{}", key=keys.primary, connection=own).status == 200
            assert set(install(changing, WINE)) <= {"routes.json", "keys.json"}
            gone = time.monotonic()
            assert changing.ask("GET", "/", key=keys.primary, connection=own).status == 401
            assert changing.ask("POST", "/score", b"{}", key=keys.secondary).status == 401
            assert time.monotonic() - gone < 1
            assert set(install(changing, WINE, BATCH)) <= {"routes.json", "keys.json"}
            hammer.more(50)
        assert changing.ask("POST", "/score", b"{}", key=keys.primary, connection=own).status == 200
    assert (hammer.failures, set(hammer.statuses), hammer.reconnections) == ([], {200}, 0)


def test_a_client_gets_its_grants_before_its_key_opens_and_loses_them_after_it_is_out(changing: Gateway) -> None:
    keys = dict(changing.client_keys)
    assert install(changing, BATCH) == ["keys.json", "routes.json"]
    assert install(changing, WINE, BATCH, **keys) == ["routes.json", "keys.json"]
    assert install(changing) == ["keys.json", "routes.json"]


def test_a_clients_keys_are_rotated_one_by_one(changing: Gateway) -> None:
    first = changing.client_keys["checkout"]
    hammer = Hammer(changing, path=INFER, key=first.primary)
    with hammer:
        second = Keys(first.primary, make_key())
        assert install(changing, WINE, BATCH, checkout=second) == ["keys.json"]
        assert changing.ask("POST", INFER, b"{}", key=first.secondary).status == 401
        assert changing.ask("POST", INFER, b"{}", key=second.secondary).status == 200
        hammer.more(100)
    assert (hammer.failures, set(hammer.statuses), hammer.reconnections) == ([], {200}, 0)
    assert install(changing, WINE, BATCH, checkout=Keys(make_key(), second.secondary)) == ["keys.json"]
    assert changing.ask("POST", INFER, b"{}", key=first.primary).status == 401
    assert changing.ask("POST", INFER, b"{}", key=second.secondary).status == 200


def test_grants_change_alone(changing: Gateway) -> None:
    assert ask(changing, "checkout", "/v2/models/churn").status == 403
    assert install(changing, Client(name="checkout", models=("churn",)), BATCH) == ["routes.json"]
    assert ask(changing, "checkout", "/v2/models/churn").status == 200
    assert ask(changing, "checkout", "/v2/models/wine").status == 403


def test_a_client_whose_grants_are_not_in_use_yet_gets_nothing(changing: Gateway) -> None:
    early = envoy_files.render_keys(
        changing.keys, (WINE, BATCH, Client(name="new")), {**changing.client_keys, "new": (new := made_keys())}
    )
    envoy_folder.replace(changing.directory, early, changing.admin)
    answer = changing.ask("GET", "/", key=new.primary)
    assert (answer.status, answer.json()["error"]) == (403, "the client 'new' is not granted anything yet")


def test_two_hundred_clients_are_told_apart(tmp_path: Path, echo: Upstream) -> None:
    models = [f"model-{number}" for number in range(100)]
    clients = tuple(Client(name=f"client-{number}", models=tuple(models[number % 50 :])) for number in range(200))
    with running(tmp_path, Upstreams(triton_of(echo)), clients=clients) as gateway:
        for number in (0, 1, 77, 199):
            at = number % 50
            answer = ask(gateway, f"client-{number}", f"/v2/models/model-{at}/infer", "POST")
            assert answer.json()["headers"]["x-client-name"] == f"client-{number}"
            assert at == 0 or ask(gateway, f"client-{number}", f"/v2/models/model-{at - 1}/infer", "POST").status == 403
        assert (tmp_path / "keys.json").stat().st_size < 400_000
        assert (tmp_path / "routes.json").stat().st_size < 700_000


def test_no_key_of_a_client_is_in_another_file(door: Gateway) -> None:
    text = "".join(path.read_text() for path in door.directory.glob("*.json") if path.name != "keys.json")
    text += door.access_log.read_text() + door.log.read_text()
    text += door.stats("/stats/prometheus").body.decode()
    assert not [key for keys in door.client_keys.values() for key in (keys.primary, keys.secondary) if key in text]
