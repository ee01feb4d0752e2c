"""Changing a front door that runs: what Envoy takes is in use, what it refuses is named and put back."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import envoy_files, envoy_folder
from gateway.admin import Admin, AdminError, RejectedError
from gateway.front_door_options import Options, Upstreams, loopback
from tests.gateway.conftest import Gateway, Hammer, Upstream, running
from tests.gateway.test_tls import certificate, served
from tests.waiting import eventually


@pytest.fixture
def changing(tmp_path: Path, scorer_echo: Upstream) -> Iterator[Gateway]:
    with running(tmp_path / "envoy", Upstreams(scorer=scorer_echo.address)) as gateway:
        yield gateway


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def install(gateway: Gateway, **changes: object) -> list[str]:
    """Change options of a front door that runs."""
    options: Options = dataclasses.replace(gateway.options, **changes)  # type: ignore[arg-type]
    keys = envoy_files.render_keys(gateway.keys) if options.auth_enabled else {}
    return envoy_folder.install(gateway.directory, envoy_files.render(options) | keys, gateway.admin)


def with_route_field(text: str, field: str) -> dict[str, str]:
    """The routes with a field that no route has."""
    message = json.loads(text)
    message["version_info"] = field
    message["resources"][0]["virtual_hosts"][0]["routes"][0][field] = True
    return {"routes.json": json.dumps(message)}


def test_files_are_written_whole_and_only_the_owner_reads_the_keys(tmp_path: Path, scorer_echo: Upstream) -> None:
    folder = tmp_path / "envoy"
    with running(folder, Upstreams(scorer=scorer_echo.address)) as gateway:
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        assert modes["keys.json"] == 0o600
        assert modes["admin.sock"] == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert gateway.keys.primary not in "".join(
            p.read_text() for p in folder.glob("*.json") if p.name != "keys.json"
        )
        assert not [name for name in modes if name.startswith(".")]


def test_what_is_there_already_is_not_written_again(changing: Gateway) -> None:
    before = {path: path.stat().st_mtime_ns for path in changing.directory.glob("*.json")}
    assert install(changing) == []
    assert {path: path.stat().st_mtime_ns for path in changing.directory.glob("*.json")} == before


def test_a_refused_file_is_named_with_envoys_words_and_the_one_before_is_put_back(changing: Gateway) -> None:
    routes = changing.directory / "routes.json"
    before = routes.read_text()
    for field in ("sponge", "bucket"):
        with pytest.raises(RejectedError, match=rf"refused routes\.json and goes on with .*no such field: '{field}'"):
            envoy_folder.replace(changing.directory, with_route_field(before, field), changing.admin)
        assert routes.read_text() == before
    assert changing.ask("GET", "/").status == 200
    assert install(changing, timeout_seconds=7) == ["routes.json", "listeners.json"]


def test_a_door_on_a_taken_port_says_so_and_the_one_before_stays_open(changing: Gateway, taken_port: int) -> None:
    with pytest.raises(RejectedError, match=rf"refused listeners\.json .*'127.0.0.1:{taken_port}': Address already in"):
        install(changing, listen=loopback(taken_port))
    assert changing.ask("GET", "/").status == 200
    assert install(changing) == []


def test_a_start_on_a_taken_port_fails_at_once_and_names_it(
    tmp_path: Path, scorer_echo: Upstream, taken_port: int
) -> None:
    upstreams = Upstreams(scorer=scorer_echo.address)
    words = rf"cannot bind '127.0.0.1:{taken_port}': Address already in use"
    started = time.monotonic()
    with (
        pytest.raises(RejectedError, match=rf"refused listeners\.json at its start: .*{words}"),
        running(tmp_path / "listen", upstreams, listen=loopback(taken_port)),
    ):
        pass
    with (
        pytest.raises(AdminError, match=rf"envoy: did not start: {words}$"),
        running(tmp_path / "stats", upstreams, stats=loopback(taken_port)),
    ):
        pass
    assert time.monotonic() - started < 5


def test_two_front_doors_do_not_share_a_port(changing: Gateway, tmp_path: Path, scorer_echo: Upstream) -> None:
    second = running(tmp_path / "second", Upstreams(scorer=scorer_echo.address), listen=changing.options.listen)
    with pytest.raises(RejectedError, match="Address already in use"), second:
        pass


def test_an_envoy_that_does_not_run_is_said_to(tmp_path: Path) -> None:
    with pytest.raises(AdminError, match=rf"no answer on {tmp_path}/admin\.sock: .*is it running\?"):
        Admin(tmp_path / "admin.sock").versions()
    with pytest.raises(AdminError, match=r"not ready within 0\.1 s"):
        Admin(tmp_path / "admin.sock").await_ready(0.1)


def test_authentication_is_turned_on_and_off_live(changing: Gateway) -> None:
    assert install(changing, auth_enabled=False) == ["routes.json", "listeners.json", "keys.json"]
    eventually(lambda: changing.ask("GET", "/", key=None).status == 200)
    assert not (changing.directory / "keys.json").exists()
    assert install(changing) == ["keys.json", "routes.json", "listeners.json"]
    eventually(lambda: changing.ask("GET", "/", key=None).status == 401)
    assert changing.ask("GET", "/").status == 200


def test_tls_is_turned_on_live(changing: Gateway, tmp_path: Path) -> None:
    assert "tls.json" in install(changing, tls=certificate(tmp_path / "certificate", "mine"))
    eventually(lambda: _served(changing) == "mine")


def test_changed_limits_are_taken_live_and_no_request_fails(changing: Gateway) -> None:
    with Hammer(changing) as hammer:
        for timeout in (20, 30, 40):
            assert install(changing, timeout_seconds=timeout, max_request_bytes=timeout) != []
            eventually(lambda limit=timeout: changing.ask("POST", "/score", b"x" * (limit + 1)).status == 413)
            hammer.more(50)
    assert not hammer.failures
    assert set(hammer.statuses) == {200}


def test_a_new_port_opens_before_the_old_one_closes(changing: Gateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert install(changing, listen=loopback(port)) == ["listeners.json"]
    moved = dataclasses.replace(changing, options=dataclasses.replace(changing.options, listen=loopback(port)))
    assert moved.ask("GET", "/").status == 200
    with pytest.raises(ConnectionError):
        changing.ask("GET", "/")


def test_a_changed_bootstrap_is_reported(changing: Gateway) -> None:
    assert install(changing, max_connections=5) == ["bootstrap.json"]


def test_a_failed_write_leaves_the_file_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    envoy_folder.replace(tmp_path, {"routes.json": "before"})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        envoy_folder.replace(tmp_path, {"routes.json": "after"})
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("routes.json", "before")]


def _served(gateway: Gateway) -> str:
    with contextlib.suppress(OSError):
        return served(gateway)
    return ""
