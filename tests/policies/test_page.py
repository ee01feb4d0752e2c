"""`docs/policies.md` says what the rules are."""

import json
import re
from pathlib import Path

from policies.configuration import configured
from policies.rules.every_rule import RULES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "policies.md").read_text()
ROWS = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]


def test_the_table_has_every_rule_with_its_level_and_its_options():
    told = [(row[0].strip("| `"), row[1], row[2]) for row in ROWS]
    assert told == [(rule.name, rule.description, rule.level.value) for rule in RULES]
    for row, rule in zip(ROWS, RULES, strict=True):
        for name, info in rule.options.model_fields.items():
            assert f"`{info.alias or name}`" in row[3]


def test_the_configuration_of_the_page_can_be_read():
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    levels = {each.rule.name: each.level.value for each in configured(json.loads(example))}
    assert levels["requests-limited"] == "mandatory"
    assert levels["no-plain-secrets"] == "advisory"


def test_the_page_counts_the_rules():
    assert len(RULES) == 9
    assert "nine rules" in PAGE
