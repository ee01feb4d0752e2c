"""Keys stay secret, and a service that strangers reach is guarded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.certificates import make_certificate
from tests.settings.conftest import Check

KEY, OTHER_KEY = "a-key-of-a-users-own", "another-key-of-a-users"
PUBLIC = {"public": True, "maxRequestsPerSecond": 50}
TLS = {"certificateFile": "tls.crt", "keyFile": "tls.key"}


def test_a_given_key_is_not_rotated_by_its_edition(mistakes: Check) -> None:
    assert mistakes({"keyRotation": {"primary": 2}}) == []
    assert mistakes({"keyRotation": {"primary": 2}, "primaryKey": KEY}, secret=("primaryKey",)) == [
        "keyRotation.primary has the value 2: does nothing while primaryKey is given: remove this, and set another "
        "primaryKey to rotate it"
    ]


def test_encrypted_keys_are_taken(mistakes: Check) -> None:
    keys = {"primaryKey": KEY, "secondaryKey": OTHER_KEY}
    assert mistakes(keys, secret=("primaryKey", "secondaryKey")) == []
    assert [mistake.split(":")[0] for mistake in mistakes(keys, secret=("primaryKey",))] == ["secondaryKey"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"primaryKey": "short"}, "primaryKey: has 5 characters, expected 16 to 256"),
        (
            {"secondaryKey": "sixteen letters!"},
            "secondaryKey: has a character that a bearer token cannot have; use letters, digits and -._~+/, '=' at the "
            "end",
        ),
        (
            {"primaryKey": KEY, "secondaryKey": KEY},
            "secondaryKey: equals primaryKey; expected another key, so that one can be rotated while the other works",
        ),
    ],
)
def test_a_key_that_cannot_serve_is_told_without_being_quoted(
    mistakes: Check, keys: dict[str, str], message: str
) -> None:
    found = mistakes(keys, secret=("primaryKey", "secondaryKey"))
    assert found == [message]
    assert not [key for key in keys.values() if key in message]


def test_a_public_service_with_keys_tls_and_a_limit_is_taken(mistakes: Check, project: Path) -> None:
    make_certificate(project)
    assert mistakes({"deployment": PUBLIC, "tls": TLS}) == []


def test_a_service_without_keys_is_taken_on_loopback(mistakes: Check) -> None:
    assert mistakes({"deployment": {"authEnabled": False}}) == []
