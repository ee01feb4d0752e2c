from pathlib import Path

import pytest

from environment.pip_settings import uv_variables


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any configuration, on a machine without any."""
    monkeypatch.setattr("environment.pip_settings.sys.prefix", str(tmp_path / "prefix"))
    monkeypatch.setattr("environment.pip_settings.SYSTEM_FILE", tmp_path / "etc" / "pip.conf")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_pips_variables_are_said_in_uvs(home: Path, tmp_path: Path) -> None:
    told = uv_variables(
        {
            "HOME": str(home),
            "PIP_INDEX_URL": "https://one.example/simple",
            "PIP_EXTRA_INDEX_URL": "https://two.example/simple\n  https://three.example/simple",
            "PIP_CERT": "/etc/ca.pem",
            "PIP_FIND_LINKS": f"{tmp_path} /not/there https://four.example/wheels",
            "PIP_DEFAULT_TIMEOUT": "7",
        }
    )
    assert told == {
        "UV_DEFAULT_INDEX": "https://one.example/simple",
        "UV_INDEX": "https://two.example/simple https://three.example/simple",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "UV_FIND_LINKS": f"{tmp_path},https://four.example/wheels",
        "UV_HTTP_TIMEOUT": "7",
    }


def test_what_uv_is_told_itself_stays(home: Path) -> None:
    environ = {"HOME": str(home), "PIP_INDEX_URL": "https://pip.example", "UV_INDEX_URL": "https://uv.example"}
    assert uv_variables(environ) == {}


def test_pips_files_count_and_the_users_file_more_than_the_machines(home: Path, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "pip.conf").write_text("[global]\nindex-url = https://machine.example\ncert = /etc/ca.pem\n")
    (home / ".config" / "pip").mkdir(parents=True)
    (home / ".config" / "pip" / "pip.conf").write_text("[install]\nindex_url = https://user.example\n")

    assert uv_variables({"HOME": str(home)}) == {
        "UV_DEFAULT_INDEX": "https://user.example",
        "SSL_CERT_FILE": "/etc/ca.pem",
    }


def test_a_variable_counts_more_than_a_file(home: Path) -> None:
    file = home / "pip.conf"
    file.write_text("[global]\nindex-url = https://file.example\n")
    environ = {"HOME": str(home), "PIP_CONFIG_FILE": str(file), "PIP_INDEX_URL": "https://variable.example"}
    assert uv_variables(environ) == {"UV_DEFAULT_INDEX": "https://variable.example"}


def test_files_are_passed_over_when_pip_is_told_to_read_none(home: Path) -> None:
    (home / ".pip").mkdir()
    (home / ".pip" / "pip.conf").write_text("[global]\nindex-url = https://user.example\n")
    assert uv_variables({"HOME": str(home), "PIP_CONFIG_FILE": "/dev/null"}) == {}


def test_a_file_that_does_not_parse_is_passed_over(home: Path) -> None:
    (home / ".pip").mkdir()
    (home / ".pip" / "pip.conf").write_text("index-url = https://no.section\n")
    assert uv_variables({"HOME": str(home)}) == {}
