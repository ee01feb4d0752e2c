"""What a preview says of a rollout."""

from typing import Any

import pytest

from settings.rollout_notes import rollout_notes
from settings.service_groups import RolloutPlan


def test_a_preview_says_what_a_new_version_proves_and_how_long_it_takes() -> None:
    gates = {"replay": {"requests": 20}, "performance": {"seconds": 5, "p95Ms": 50}}
    assert rollout_notes(RolloutPlan(drain_seconds=1)) == []
    assert rollout_notes(RolloutPlan.model_validate({"drainSeconds": 1, **gates}, by_alias=True, by_name=True)) == [
        "rollout: before traffic a new version replays 20 requests against the version that serves, then is loaded "
        "with 8 requests at once for 5 s: at most 130 s"
    ]


@pytest.mark.parametrize(
    ("rollout", "said"),
    [
        ({}, []),
        ({"canaryTrafficPercent": 100}, []),
        ({"canaryTrafficPercent": 10}, ["gets 10 % of the traffic and stays there"]),
        ({"canaryTrafficPercent": 0}, ["gets no traffic"]),
        (
            {"steps": [{"mirror": 20, "pause": "1m"}, {"setWeight": 10, "pause": "5m"}]},
            ["mirror 20 % for 60 s, then weight 10 % for 300 s: 360 s; deployment.rollout.analysis is left out"],
        ),
        ({"steps": [{"setWeight": 10, "pause": "5m"}], "analysis": {"p95Ms": 5}}, ["weight 10 % for 300 s: 300 s"]),
    ],
)
def test_a_preview_says_which_shares_a_new_version_gets(rollout: dict[str, Any], said: list[str]) -> None:
    made = RolloutPlan.model_validate({"drainSeconds": 1, **rollout}, by_alias=True, by_name=True)
    notes = rollout_notes(made)
    assert len(notes) == len(said)
    assert all(words in note for words, note in zip(said, notes, strict=True))
