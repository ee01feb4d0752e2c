"""Credentials in URLs: none is left in a text, and what is none stays readable."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.redaction import credential_in, names_secret, redacted

# What people have in passwords, also where they should have escaped it; quotes and white space end a URL.
PASSWORD = st.text(string.ascii_letters + string.digits + "@:/?#%&=+~!$*()[],;|^.-_", min_size=6, max_size=20).map(
    lambda text: f"Zq{text.replace('://', '')}qZ"
)
SCHEME = st.sampled_from(["sftp", "https", "git+https", "s3", "postgres", "simplecache::sftp", "http"])
AROUND = st.sampled_from(["", " ", "registry ", 'said "', "(see ", "https://a.example/x ", "é: "])


@given(SCHEME, PASSWORD, AROUND, AROUND)
def test_no_password_is_left(scheme: str, password: str, before: str, after: str) -> None:
    shown = redacted(f"{before}{scheme}://me:{password}@host.example/path{after}")
    assert shown == f"{before}{scheme}://me:***@host.example/path{after}"
    assert credential_in(f"{scheme}://me:{password}@host.example/path") == "a password"


@given(st.sampled_from(["https", "git+https"]), st.text(string.ascii_letters + string.digits + "-_", min_size=1))
def test_no_token_is_left(scheme: str, token: str) -> None:
    assert redacted(f"x @ {scheme}://{token}@host/a.git@v1.0#egg=a") == f"x @ {scheme}://***@host/a.git@v1.0#egg=a"
    assert credential_in(f"x @ {scheme}://{token}@host/a.git@v1.0") == "a user or a token before the '@'"
    assert redacted(f"{scheme}://host/a.whl?x=1&token={token} is there") == f"{scheme}://host/a.whl?*** is there"
    assert credential_in(f"{scheme}://host/a.whl?x=1&token={token}") == "'token' in its query"


@pytest.mark.parametrize(
    "text",
    [
        "no URL: me:secret@host",
        "http://localhost:6789/score",
        "http://[::1]:8000/a@b",
        "abfs://container@account.dfs.core.windows.net/models",
        "pkg @ git+https://host:8443/x.git@v1.0",
        "git+ssh://git@github.com/a/b.git@main",
        "s3://bucket/key@2x.png",
        "file:///home/me@work/registry",
    ],
)
def test_what_is_no_credential_stays(text: str) -> None:
    assert redacted(text) == text
    assert credential_in(text) == ""


def test_a_query_without_a_secret_is_no_credential_but_is_not_shown() -> None:
    assert credential_in("https://host/a.whl?version=3") == ""
    assert redacted("https://host/a.whl?version=3") == "https://host/a.whl?***"


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "API_KEY", "APIKEY", "password", "PGPASSWORD", "DB_AUTH"]
)
def test_a_variable_whose_name_is_that_of_a_secret_is_one(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize(
    "name", ["MONKEY", "STYLE", "TOKENIZERS_PARALLELISM", "WORKER_COUNT", "AUTHOR", "KEYS_PER_ROW"]
)
def test_a_variable_of_another_name_is_none(name: str) -> None:
    assert not names_secret(name)
