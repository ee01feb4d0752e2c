"""A recorder that comes or goes with a generation, where no share of the traffic was open when it got the traffic."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from gateway import envoy_files, envoy_folder
from gateway.admin import Admin
from gateway.front_door_options import RECORDER, Candidate, Options, Triton, Upstreams, loopback
from gateway.traffic_share import Share, remember

TRITON = Triton(http=loopback(8000), grpc=loopback(8001), metrics=loopback(8002))
WITH, WITHOUT = Upstreams(TRITON, recorder=loopback(8003)), Upstreams(TRITON)


def test_the_front_door_copies_requests_to_the_recorder_of_whoever_serves(tmp_path: Path) -> None:
    options = Options(WITHOUT, directory=str(tmp_path), recorded=0.5)
    remember(tmp_path, options)
    envoy_folder.replace(tmp_path, envoy_files.render(options))
    share = Share(tmp_path, Admin(tmp_path / "nobody.sock"))
    assert share.open(WITHOUT, WITH)
    share.share(WITHOUT, Candidate(WITH, weight=10))
    share.close(WITHOUT)
    assert not copied(tmp_path)
    for serving in (WITH, WITHOUT, WITH):
        envoy_folder.replace(tmp_path, envoy_files.render_endpoints(serving))
        share.close(serving)
        assert copied(tmp_path) is (serving is WITH)


def test_nothing_is_written_where_the_servers_are_those_that_envoy_knows(tmp_path: Path) -> None:
    options = Options(WITH, directory=str(tmp_path), recorded=0.5)
    envoy_folder.replace(tmp_path, envoy_files.render(options))
    remember(tmp_path, dataclasses.replace(options, timeout_seconds=options.timeout_seconds + 1))
    before = (tmp_path / "routes.json").read_text()
    Share(tmp_path, Admin(tmp_path / "nobody.sock")).close(WITH)
    assert (tmp_path / "routes.json").read_text() == before


def copied(folder: Path) -> bool:
    """Whether requests are copied; the routes and the clusters must agree on it."""
    clusters = {one["name"] for one in json.loads((folder / "clusters.json").read_text())["resources"]}
    routes = "request_mirror_policies" in (folder / "routes.json").read_text()
    assert (RECORDER in clusters) is routes
    assert routes is (folder / f"endpoints.{RECORDER}.json").exists()
    return routes
