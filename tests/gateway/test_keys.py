"""The two keys: what a key looks like, who gets in, and rotation without a dropped connection."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import envoy_files, envoy_folder
from gateway.admin import RejectedError
from gateway.front_door_options import Upstreams
from gateway.keys import MAX_LENGTH, Keys, check_key, make_key
from tests.gateway.conftest import Gateway, Hammer, Upstream, made_keys, running

SCHEMES = ("Bearer ", "bearer ", "Basic ", "")


def test_a_made_key_passes_the_check_and_is_never_the_same() -> None:
    keys = {make_key() for _ in range(100)}
    assert len(keys) == 100
    assert {check_key(key) for key in keys} == keys


@pytest.mark.parametrize("key", ["0123456789abcdef", "a-key.with_all~of+these/signs==", "x" * MAX_LENGTH])
def test_a_users_own_key_is_taken(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "short",
        "x" * (MAX_LENGTH + 1),
        "0123456789 abcdef",
        "0123456789abcdef\n",
        "0123456789=abcdef",
        "schlüssel-schlüssel",
        '"0123456789abcdef"',
    ],
)
def test_a_key_that_cannot_be_sent_is_refused_without_being_quoted(key: str) -> None:
    with pytest.raises(ValueError, match="primaryKey: ") as refused:
        Keys(key, make_key())
    assert not key or key not in str(refused.value)


def test_the_two_keys_differ() -> None:
    key = make_key()
    with pytest.raises(ValueError, match="secondaryKey: equals primaryKey") as refused:
        Keys(key, key)
    assert key not in str(refused.value)


def test_keys_do_not_show_when_printed() -> None:
    keys = made_keys()
    assert keys.primary not in repr(keys)
    assert keys.secondary not in repr(keys)


def test_either_key_opens_the_front_door(gateway: Gateway) -> None:
    for key in (gateway.keys.primary, gateway.keys.secondary):
        assert gateway.ask("POST", "/score", b"{}", key=key).status == 200
        assert gateway.ask("GET", "/v2/health/ready", key=key).status == 200


@pytest.mark.parametrize(
    "path", ["/score", "/", "/swagger.json", "/v2/health/ready", "/v2/repository/index", "/nowhere"]
)
def test_without_a_key_every_path_is_401_with_json_that_says_how_to_send_it(gateway: Gateway, path: str) -> None:
    answer = gateway.ask("GET", path, key=None)
    assert answer.status == 401
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["www-authenticate"] == 'Bearer realm="service"'
    assert "Authorization: Bearer <key>" in answer.json()["error"]


def test_nothing_but_a_whole_key_in_the_header_opens(gateway: Gateway) -> None:
    key = gateway.keys.primary
    wrong = [make_key(), key[:-1], key + "x", key.swapcase(), f" {key}", f"{key} ", "*", "null"]
    headers = [{"Authorization": f"Bearer {value}"} for value in wrong]
    headers += [
        {"Authorization": f"Basic {key}"},
        {"Authorization": ""},
        {"Cookie": f"Authorization={key}"},
        {"X-Api-Key": key},
        {"Authorization": key},
        {"Authorization": f"Bearer{key}"},
        {"Authorization": f"Bearer x {key}"},
        {"Authorization": f"Bearer x,{key}"},
        {"Authorization": f"Bearer {key},Bearer {key}"},
        {"Authorization": f"x Bearer {key}"},
        {"Authorization": f"Bearer\t{key}"},
        {"Proxy-Authorization": f"Bearer {key}"},
    ]
    opened = [header for header in headers if gateway.ask("GET", "/", headers=header, key=None).status != 401]
    # Blanks around a header's value are not part of it.
    assert opened == [{"Authorization": f"Bearer {key} "}]
    assert gateway.ask("GET", f"/?Authorization={key}&key={key}", key=None).status == 401


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
def test_the_scheme_is_taken_in_any_case(gateway: Gateway, scheme: str) -> None:
    assert (
        gateway.ask("GET", "/", headers={"Authorization": f"{scheme} {gateway.keys.primary}"}, key=None).status == 200
    )


@given(text=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60), scheme=st.sampled_from(SCHEMES))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_other_text_opens(gateway: Gateway, text: str, scheme: str) -> None:
    key = gateway.keys.primary
    for value in (text, text + key, key + text, key[: len(text)], f"{text} {key}"):
        expected = 200 if value == key and scheme.lower() == "bearer " else 401
        assert gateway.ask("GET", "/", headers={"Authorization": scheme + value}, key=None).status == expected


def test_the_key_goes_no_further_than_envoy(gateway: Gateway) -> None:
    key = gateway.keys.primary
    arrived = gateway.ask("POST", "/score", b"{}", headers={"X-Custom": "kept"}).json()["headers"]
    assert arrived["x-custom"] == "kept"
    assert "authorization" not in arrived
    assert key not in str(arrived)


def test_a_request_with_two_keys_is_refused(gateway: Gateway) -> None:
    with contextlib.closing(gateway.connect()) as connection:
        connection.putrequest("GET", "/")
        connection.putheader("Authorization", f"Bearer {gateway.keys.primary}")
        connection.putheader("Authorization", f"Bearer {gateway.keys.secondary}")
        connection.endheaders()
        assert connection.getresponse().status == 401


def test_without_authentication_nobody_needs_a_key(tmp_path: Path, scorer_echo: Upstream) -> None:
    with running(tmp_path, Upstreams(scorer=scorer_echo.address), auth_enabled=False) as gateway:
        assert gateway.ask("POST", "/score", b"{}", key=None).status == 200
        assert gateway.ask("POST", "/v2/repository/index", b"{}", key=None).status == 404
        assert not (tmp_path / "keys.json").exists()


def unusable(keys: Keys) -> str:
    """The file of these keys, with a pattern that Envoy does not take."""
    return envoy_files.render_keys(keys)["keys.json"].replace("(?i:bearer)", "(?i:bearer")


def test_the_front_door_stays_shut_without_usable_keys(tmp_path: Path, scorer_echo: Upstream) -> None:
    keys = made_keys()
    text = unusable(keys)
    with (
        pytest.raises(RejectedError, match=r"refused (keys|listeners)\.json at its start") as refused,
        running(tmp_path, Upstreams(scorer=scorer_echo.address), rewritten={"keys.json": text}),
    ):
        pass
    assert keys.primary not in str(refused.value)


def test_keys_that_envoy_refuses_leave_those_of_before_and_are_not_quoted(
    tmp_path: Path, scorer_echo: Upstream
) -> None:
    with running(tmp_path, Upstreams(scorer=scorer_echo.address)) as gateway:
        keys = made_keys()
        text = unusable(keys)
        with pytest.raises(RejectedError, match=r"refused keys\.json") as refused:
            envoy_folder.replace(tmp_path, {"keys.json": text}, gateway.admin)
        assert keys.primary not in str(refused.value)
        assert gateway.ask("GET", "/").status == 200
        assert gateway.ask("GET", "/", key=keys.primary).status == 401


def test_a_key_is_rotated_under_load_with_no_failed_request_and_no_closed_connection(
    tmp_path: Path, scorer_echo: Upstream
) -> None:
    with running(tmp_path, Upstreams(scorer=scorer_echo.address)) as gateway:
        keys, used = gateway.keys, [gateway.keys]
        with contextlib.closing(gateway.connect()) as idle, Hammer(gateway, key=keys.primary) as hammer:
            assert gateway.ask("GET", "/", connection=idle).status == 200
            local = idle.sock.getsockname()
            for _ in range(5):
                keys = dataclasses.replace(keys, secondary=make_key())
                used.append(keys)
                assert envoy_folder.replace(tmp_path, envoy_files.render_keys(keys), gateway.admin) == ["keys.json"]
                assert gateway.ask("GET", "/", key=keys.secondary, connection=idle).status == 200
                assert gateway.ask("GET", "/", key=used[-2].secondary, connection=idle).status == 401
                hammer.more(100)
            assert idle.sock.getsockname() == local
        assert not hammer.failures
        assert set(hammer.statuses) == {200}
        assert hammer.reconnections == 0
        assert hammer.answers > 500


def test_a_rotation_changes_the_keys_file_only() -> None:
    keys = made_keys()
    rotated = dataclasses.replace(keys, primary=make_key())
    before, after = envoy_files.render_keys(keys), envoy_files.render_keys(rotated)
    assert list(before) == list(after) == ["keys.json"]
    assert envoy_files.version(before["keys.json"]) != envoy_files.version(after["keys.json"])
    assert envoy_files.render_keys(keys) == before


def test_a_closed_connection_would_be_noticed(gateway: Gateway) -> None:
    with contextlib.closing(gateway.connect()) as connection:
        assert gateway.ask("GET", "/", headers={"Connection": "close"}, connection=connection).status == 200
        with pytest.raises(http.client.NotConnected):
            gateway.ask("GET", "/", connection=connection)
