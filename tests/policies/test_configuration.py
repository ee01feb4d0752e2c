"""The rules' configuration: levels, options, and mistakes in them."""

import json

import pytest

from policies.configuration import PolicyError, configured, read
from policies.rule import Level
from policies.rules.every_rule import RULES


def levels(given):
    return {each.rule.name: each.level for each in configured(given)}


def test_every_rule_has_its_own_level_where_nothing_is_configured(tmp_path):
    assert levels({}) == {rule.name: rule.level for rule in RULES}
    assert read(None) == configured({})


def test_a_level_for_all_and_one_for_a_rule():
    found = levels({"all": "advisory", "keys-on": "mandatory", "limits-set": {"enforcementLevel": "disabled"}})
    assert found.pop("keys-on") is Level.MANDATORY
    assert "limits-set" not in found
    assert set(found.values()) == {Level.ADVISORY}


def test_options_are_read_from_a_file(tmp_path):
    file = tmp_path / "configuration.json"
    file.write_text(json.dumps({"second-replica": {"least": 3}, "no-plain-secrets": {"allowed": ["X_TOKEN"]}}))
    options = {each.rule.name: each.options for each in read(file)}
    assert options["second-replica"].least == 3
    assert options["no-plain-secrets"].allowed == ["X_TOKEN"]
    assert "*TOKEN" in options["no-plain-secrets"].names


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"keys": "advisory"}, "'keys' is no rule; expected one of all, keys-on, "),
        ({"keys-on": "strict"}, "keys-on has the level 'strict'; expected one of disabled, advisory, mandatory"),
        ({"keys-on": "remediate"}, "keys-on has the level 'remediate'; expected one of"),
        ({"second-replica": {"least": 0}}, "second-replica.least: Input should be greater than or equal to 1; its"),
        ({"second-replica": {"most": 1}}, "second-replica.most: Extra inputs are not permitted; its options: least"),
        ({"keys-on": {"x": 1}}, "keys-on.x: Extra inputs are not permitted; its options: none"),
        (["keys-on"], "expected an object with a level or an object for each rule: all, keys-on"),
    ],
)
def test_a_mistake_is_told(given, told, tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(given))
    with pytest.raises(PolicyError) as raised:
        read(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert told in str(raised.value)


@pytest.mark.parametrize("text", [None, "{"])
def test_a_file_that_cannot_be_read_is_told(text, tmp_path):
    file = tmp_path / "mine.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(PolicyError, match="expected a JSON file with a level or an object for each rule"):
        read(file)
