"""No text of the settings holds a credential in the clear."""

from __future__ import annotations

from tests.settings.conftest import Check


def test_a_registry_with_a_password_is_refused_without_quoting_it(mistakes: Check) -> None:
    found = mistakes({"registry": "memory://me:s3cret@host/models"})
    assert "s3cret" not in "".join(found)
    assert found[0].startswith(
        "registry has the value 'memory://me:***@host/models': has a password, and the state and its history would "
        "show it; leave it out, and say it to the store's own library: in ~/.config/fsspec/conf.json"
    )
