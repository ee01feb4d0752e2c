"""Records of rollouts for tests: a real one, and made ones with given texts and figures."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from serving.proving.verdict import Difference, Figure, Verdict
from targets.rollout_record import Measured, Outcome, RolloutRecord, StepRecord

BEGAN = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone.utc)
REAL = RolloutRecord.model_validate_json((Path(__file__).parent / "refused.json").read_bytes())
"""A rollout on target `process`: its gates passed, and its last step refused a script that becomes slower."""


def measured(requests: int = 100, errors: int = 0, **more: Any) -> Measured:
    values = {"p50_ms": 3.5, "p95_ms": 9.0, "p99_ms": 9.8, "times": ((3.0, 3.1, 60), (9.0, 9.1, 40))}
    return Measured(requests=requests, errors=errors, **{**values, **more})


def step(**changed: Any) -> StepRecord:
    figure = Figure(step="weight 20 %", name="p95", unit="ms", old=9.0, new=30.0, limit=20.0, passed=False)
    values = {
        "name": "weight 20 %",
        "weight": 20,
        "mirror": 0,
        "started": BEGAN + timedelta(seconds=10),
        "ended": BEGAN + timedelta(seconds=40),
        "outcome": Outcome.PASSED,
        "old": measured(80),
        "new": measured(20, 1),
        "figures": (figure,),
    }
    return StepRecord(**{**values, **changed})


def record(**changed: Any) -> RolloutRecord:
    values = {
        "service": "web",
        "target": "process",
        "generation": 8,
        "before": 7,
        "started": BEGAN,
        "ended": BEGAN + timedelta(seconds=65),
        "outcome": Outcome.PASSED,
    }
    return RolloutRecord(**{**values, **changed})


def verdict(**changed: Any) -> Verdict:
    figures = [
        Figure(step="replay", name="answers that differ", unit="share", new=0.25, limit=0.01, passed=False),
        Figure(step="performance", name="throughput", unit="requests/s", old=1234.5, new=1300.0, passed=True),
    ]
    differences = [Difference(request="one", path="$.y", old="1", new="2")]
    values: dict[str, Any] = {"requests": 40, "source": "golden", "figures": figures, "differences": differences}
    return Verdict(**{**values, **changed})
