"""A candidate's place at a front door whose Envoy ends at the wrong moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from gateway import envoy_files, envoy_folder, traffic_share
from gateway.admin import Admin, AdminError, RejectedError
from gateway.front_door_options import Options, Upstreams, loopback
from gateway.traffic_share import Share
from targets.machine.candidate import Place, shares

OLD, NEW = Upstreams(scorer=loopback(5001)), Upstreams(scorer=loopback(5002))


class Ending:
    """An Envoy that takes files, and ends or refuses one once it is told to."""

    def __init__(self) -> None:
        self.error: AdminError | None = None
        self.runs = True

    def is_ready(self) -> bool:
        return self.runs

    def rejections(self) -> dict[str, int]:
        return dict.fromkeys(("routes.json", "clusters.json", "endpoints.scorer.json"), 0)

    def await_taken(self, *_: Any) -> None:
        if self.error is not None:
            self.runs = isinstance(self.error, RejectedError)
            raise self.error

    def await_idle(self, *_: Any) -> bool:
        if not self.runs:
            raise AdminError("envoy: no answer")
        return True


@pytest.fixture
def envoy() -> Ending:
    return Ending()


@pytest.fixture
def place(tmp_path: Path, envoy: Ending) -> Place:
    options = Options(OLD, directory=str(tmp_path))
    envoy_folder.install(tmp_path, envoy_files.render(options))
    traffic_share.remember(tmp_path, options)
    made = Place(Share(tmp_path, cast(Admin, envoy)), OLD, NEW)
    assert made.open()
    made.share(weight=50)
    assert "-candidate" in routes(tmp_path)
    return made


def routes(folder: Path) -> str:
    return (folder / "routes.json").read_text()


def test_a_share_is_taken_back_although_envoy_ends_meanwhile(place: Place, envoy: Ending, tmp_path: Path) -> None:
    envoy.error = AdminError("envoy: no answer; is it running?")
    place.withdraw(1)
    assert "-candidate" not in routes(tmp_path)
    assert not place.door.is_open


def test_a_file_that_envoy_refuses_is_not_forced_on_it(place: Place, envoy: Ending, tmp_path: Path) -> None:
    envoy.error = RejectedError("envoy: refused routes.json")
    with pytest.raises(RejectedError):
        place.share(weight=60)
    assert '"weight": 50' in routes(tmp_path)


def test_people_are_told_who_has_which_share_and_whether_a_rollout_was_stopped() -> None:
    told = {
        (None, True): "generation 8 goes through the steps of a rollout beside generation 7",
        (None, False): "a rollout of generation 8 beside generation 7 was stopped in its steps; the next `up` ends it",
        (10, False): "generation 7 has 90 % of the traffic, generation 8 has 10 %",
    }
    for (percent, changing), line in told.items():
        assert shares(7, 8, percent, lambda changing=changing: changing) == [line]  # type: ignore[misc]
    assert shares(7, None, None, lambda: False) == []
