"""The stack's settings out of Pulumi's configuration."""

import json

import pytest

from components import stack_settings as reading
from settings.errors import SettingsError


@pytest.fixture
def configured(monkeypatch, bundle_folder, tmp_path):
    """Read settings from a configuration as engines give it: every value text, those in `secret` decrypted."""

    def read(secret=(), **values):
        given = {"models": [{"path": str(bundle_folder), "name": "m"}], **values}
        texts = {
            f"triton-serving:{name}": value if isinstance(value, str) else json.dumps(value)
            for name, value in given.items()
        }
        monkeypatch.setattr(reading, "get_config_env", lambda: {"aws:region": "eu-west-1", "other:port": "1", **texts})
        monkeypatch.setattr(reading, "get_config_secret_keys_env", lambda: [f"triton-serving:{s}" for s in secret])
        monkeypatch.setattr("pulumi.get_project", lambda: "triton-serving")
        monkeypatch.setattr("pulumi.get_stack", lambda: "test")
        return reading.stack_settings(tmp_path)

    return read


def test_groups_and_lists_arrive_as_json_and_other_namespaces_are_left_alone(configured):
    settings = configured(deployment={"port": 7000, "authEnabled": False}, serviceName="web-service")
    assert (settings.deployment.port, settings.deployment.auth_enabled) == (7000, False)
    assert (settings.service_name, settings.models[0].name) == ("web-service", "m")


def test_text_that_only_looks_like_json_stays_text(configured):
    with pytest.raises(SettingsError, match=r"serviceName has the value '\{web': expected 3 to 32 lower-case letters"):
        configured(serviceName="{web")


def test_an_unknown_name_is_refused(configured):
    with pytest.raises(SettingsError, match=r"prot has the value '1': there is no such setting"):
        configured(prot="1")


def test_an_encrypted_key_is_taken_and_a_plain_one_refused(configured):
    key = "a-key-of-the-users-own-0123456789"
    assert configured(secret=["primaryKey"], primaryKey=key).primary_key.get_secret_value() == key
    with pytest.raises(SettingsError, match="primaryKey: stands in plain text"):
        configured(primaryKey=key)


def test_an_encrypted_variable_is_refused_without_its_value(configured):
    environment = {"name": "My", "clone": "AzureML-Triton", "variables": {"TOKEN": "hidden-words"}}
    with pytest.raises(SettingsError, match=r"1 mistake:\n  environment: is encrypted, and only primaryKey") as refused:
        configured(secret=["environment"], environment=environment)
    assert "hidden-words" not in str(refused.value)
