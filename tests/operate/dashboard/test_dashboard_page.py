"""docs/dashboard.md says what the code does: the metrics with their labels, the alerts, the port."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.door_metrics import REQUESTS, door_metrics
from gateway.front_door_options import Options, Upstreams, loopback
from operate.dashboard.verb import PORT
from targets.node_pool.objects import alerts

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "dashboard.md").read_text(encoding="utf-8")


def test_it_lists_the_metrics_with_their_labels() -> None:
    (logger,) = door_metrics(Options(Upstreams(scorer=loopback(1)), "/run/envoy"))
    config = logger["typed_config"]
    prefix = REQUESTS.removesuffix("requests")
    made = {
        f"{prefix}{each['stat']['name']}": [tag["name"] for tag in each["stat"]["tags"]]
        for each in (*config["counters"], *config["histograms"])
    }
    rows = re.findall(r"^\| `(envoy_\w+)` \| (.*?) \|", PAGE, re.M)
    assert {name: re.findall("`(.*?)`", labels) for name, labels in rows} == made
    assert f"{config['stats_scope']['max_counters']:,} at most" in PAGE


def test_it_lists_the_alerts_on_clients() -> None:
    named = re.findall(r"^\| `(TritonServing\w+)` \|", PAGE, re.M)
    made = re.findall(r'"(TritonServing\w+)"', Path(str(alerts.__file__)).read_text(encoding="utf-8"))
    assert len(named) == 4
    assert set(named) <= set(made)


def test_it_shows_the_address_of_the_port_that_the_verb_takes() -> None:
    assert f"http://127.0.0.1:{PORT}/#" in PAGE
    assert f"PORT={PORT}" in (DOCS.parent / "Makefile").read_text(encoding="utf-8")
