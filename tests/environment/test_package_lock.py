import base64
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from environment.curated_clone import Environment
from environment.interpreter import inspect
from environment.package_lock import ResolutionError, resolve


class _Forbidding(http.server.BaseHTTPRequestHandler):
    """A package index that lets nobody in, and counts who asks."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_error(403)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    """The address of an index that answers 403 to everything."""
    _Forbidding.asked = 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Forbidding)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_lock_has_every_package_with_version_and_hashes(tmp_path: Path) -> None:
    lock = resolve(["gunicorn==23.0.0"], name="E", python=inspect(), store=tmp_path)
    assert lock.packages["gunicorn"] == "23.0.0"
    assert set(lock.packages) == {"gunicorn", "packaging"}
    assert lock.text.count("--hash=sha256:") >= len(lock.packages)


def test_a_lock_holds_the_dependencies_of_the_project_that_serves(tmp_path: Path, serving: Path) -> None:
    lock = resolve(["sniffio"], name="E", python=inspect(), project=serving, store=tmp_path)
    assert set(lock.packages) == {"sniffio", "packaging"}


def test_a_lock_for_every_python_says_which_version_each_gets(tmp_path: Path) -> None:
    asked = ['sniffio==1.2.0; python_version < "3.13"', 'sniffio==1.3.1; python_version >= "3.13"']
    lines = resolve(asked, name="E", python=None, store=tmp_path).text.splitlines()
    assert [line.rstrip(" \\") for line in lines if line.startswith("sniffio==")] == [
        "sniffio==1.2.0 ; python_full_version < '3.13'",
        "sniffio==1.3.1 ; python_full_version >= '3.13'",
    ]


def test_the_same_question_gets_the_lock_it_got_before_and_asks_no_index(
    tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = resolve(["sniffio"], name="E", python=inspect(), store=tmp_path)
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://{index}/simple")

    assert resolve(["sniffio"], name="E", python=inspect(), store=tmp_path) == first
    assert _Forbidding.asked == 0
    with pytest.raises(ResolutionError):
        resolve(["sniffio", "h11"], name="E", python=inspect(), store=tmp_path)
    assert _Forbidding.asked > 0


def test_a_package_that_is_not_there_fails_with_the_resolvers_words(tmp_path: Path) -> None:
    with pytest.raises(ResolutionError) as failed:
        resolve(["sniffio==9999"], name="My-Triton", python=inspect(), store=tmp_path)
    said = str(failed.value)
    assert said.startswith("the pip packages of environment 'My-Triton' cannot be resolved: ")
    assert "Because there is no version of sniffio==9999 and you require sniffio==9999" in said
    assert "\n" not in said
    assert not list(tmp_path.iterdir())


def test_a_package_at_odds_with_a_pin_is_told_whose_pin_it_is(tmp_path: Path) -> None:
    pins = ["packaging==22.0", "sniffio==1.3.1"]
    with pytest.raises(ResolutionError) as failed:
        resolve([*pins, "black==24.1.0", "packaging>22"], name="E", python=inspect(), pins=pins, store=tmp_path)
    assert "you require packaging==22.0" in str(failed.value)
    assert str(failed.value).endswith("(packaging==22.0: pinned by the environment, not by your settings)")


def test_pips_index_is_asked_and_its_credentials_are_not_shown(
    tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://somebody:s3cret@{index}/simple")
    with pytest.raises(ResolutionError) as failed:
        resolve(["sniffio"], name="E", python=inspect(), store=tmp_path)
    assert _Forbidding.asked > 0
    assert index in str(failed.value)
    assert "s3cret" not in str(failed.value)


class _Guarded(http.server.SimpleHTTPRequestHandler):
    """Gives a wheel to somebody whose password is s3cret, and 401 to everybody else."""

    wheel = b""

    def do_GET(self) -> None:
        if self.headers["Authorization"] != f"Basic {base64.b64encode(b'somebody:s3cret').decode()}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.wheel)))
        self.end_headers()
        self.wfile.write(self.wheel)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_package_at_a_url_that_asks_for_a_password_takes_it_from_netrc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as wheel:
        wheel.writestr("theirs-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
        wheel.writestr("theirs-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("theirs-1.0.dist-info/RECORD", "")
    _Guarded.wheel = content.getvalue()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Guarded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asked = f"theirs @ http://127.0.0.1:{server.server_port}/theirs-1.0-py3-none-any.whl"
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        with pytest.raises(ResolutionError, match="401"):
            resolve([asked], name="E", python=inspect(), store=tmp_path / "locks")
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password s3cret\n")
        lock = resolve([asked], name="E", python=inspect(), store=tmp_path / "locks")
        server.shutdown()
    assert lock.text.startswith(asked)
    assert "s3cret" not in lock.text


def test_the_curated_environment_resolves_for_every_python_with_and_without_a_gpu(tmp_path: Path) -> None:
    environment = Environment.get("AzureML-Triton")
    for extra in (environment.curated.wheel.packages.cpu, environment.curated.wheel.packages.gpu):
        lock = resolve([*environment.requirements, *extra], name="E", python=None, store=tmp_path)
        pinned = {Requirement(package).name for package in extra}
        assert pinned <= set(lock.packages)


def test_a_given_lock_holds_in_place_of_the_one_that_is_kept_and_asks_no_index(
    tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(["sniffio"], name="E", python=inspect(), store=tmp_path / "given")
    (given,) = (tmp_path / "given").glob("*.txt")
    given.write_text("sniffio==1.3.0 --hash=sha256:0\n")
    kept = resolve(["sniffio"], name="E", python=inspect(), store=tmp_path / "kept")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://{index}/simple")

    lock = resolve(["sniffio"], name="E", python=inspect(), store=tmp_path / "kept", given=tmp_path / "given")

    assert (lock.packages, lock.file) == ({"sniffio": "1.3.0"}, given)
    assert resolve(["sniffio"], name="E", python=inspect(), store=tmp_path / "kept") == kept
    assert _Forbidding.asked == 0


def test_given_locks_for_another_python_give_their_versions_and_leave_the_kept_ones_alone(tmp_path: Path) -> None:
    resolve(["sniffio==1.2.0"], name="E", python=None, store=tmp_path / "given")
    said: list[str] = []

    lock = resolve(
        ["sniffio"], name="E", python=inspect(), store=tmp_path / "kept", given=tmp_path / "given", progress=said.append
    )

    assert lock.packages == {"sniffio": "1.2.0"}
    assert "at the versions of" in said[0]
    assert resolve(["sniffio"], name="E", python=inspect(), store=tmp_path / "kept").packages != lock.packages
