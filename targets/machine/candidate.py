"""A new generation beside the serving one, at the front door of a service of this machine.

    Place.open ──► Place.share(weight=10) ... ──► Place.withdraw      the serving generation has all of it again
                                             └──► Place.promote       the new one has all of it

`take_shares` does the first two as the settings of a rollout say.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from gateway.admin import AdminError, RejectedError
from gateway.front_door_options import Candidate, Upstreams
from gateway.generation_figures import Snapshot
from gateway.traffic_share import Share
from settings.service_groups import RolloutPlan
from targets.canary import Canary
from targets.errors import ServiceError
from targets.rollout_recorder import Recorder

__all__ = ["Place", "note_no_shares", "shares", "take_shares", "waits"]

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """The place of one candidate: `targets.canary.Shares` for a front door of this machine."""

    door: Share
    serving: Upstreams
    candidate: Upstreams

    def open(self) -> bool:
        """Give the candidate its place, and no traffic yet; false where no front door was ever opened here."""
        return _twice(lambda: self.door.open(self.serving, self.candidate))

    def share(self, *, weight: int = 0, mirror: int = 0) -> None:
        """Send the candidate its share; returns once Envoy does so."""
        _twice(lambda: self.door.share(self.serving, Candidate(self.candidate, weight, mirror)))

    def keep(self, percent: int) -> None:
        """Give the candidate the share that the record tells: a killed rollout may have done no more than tell it."""
        if self.open():
            self.share(weight=percent)

    def figures(self) -> Mapping[str, Snapshot]:
        """Give what both generations did since Envoy's start."""
        return {"the front door": self.door.figures()}

    def withdraw(self, seconds: float) -> None:
        """Send everything to the serving generation at once, let the candidate's requests end, and end its place."""
        self.share()
        with suppress(AdminError):  # it does not run: nobody has a request at the candidate
            self.door.admin.await_idle(self.candidate, seconds)
        _twice(lambda: self.door.close(self.serving))

    def promote(self, send_to_new: Callable[[], None]) -> None:
        """Send everything to the candidate; `send_to_new` makes it the serving generation meanwhile."""
        self.open()  # a killed rollout may have ended the place, and routes need its clusters
        self.share(weight=100)
        send_to_new()
        _twice(lambda: self.door.close(self.candidate))


def _twice(change: Callable[[], T]) -> T:
    """Change what Envoy does, and once more where it ended meanwhile: its supervisor starts it, by the files."""
    try:
        return change()
    except RejectedError:
        raise
    except AdminError:
        return change()


def waits(rollout: RolloutPlan, percent: int | None, progress: Callable[[str], None]) -> bool:
    """Tell whether the settings ask for no step forward, where a candidate has `percent` of the traffic or none."""
    if rollout.canary_traffic_percent == 0:
        progress("deployment.rollout.canaryTrafficPercent is 0: the new version gets no traffic")
        return True
    return percent is not None and rollout.canary_traffic_percent == percent


def take_shares(
    rollout: RolloutPlan,
    place: Place,
    *,
    old: int,
    new: int,
    begin: Callable[[int | None], object],
    progress: Callable[[str], None],
    recorder: Recorder,
) -> bool:
    """Give a new generation the shares that the settings ask for.

    Args:
        rollout: The settings: steps, or the share at which it stays.
        place: Its place at the front door.
        old: The number of the generation that has the traffic.
        new: The number of the new one.
        begin: Writes down that the new one gets a share: the percent at which it stays, or None for steps.
        progress: Is told what happens.
        recorder: Is told each step.

    Returns:
        Whether it stays at a share until a later rollout. Otherwise it may have all of the traffic.

    Raises:
        targets.canary.RefusedError: A step is not passed. The caller withdraws the place.
    """
    percent = rollout.canary_traffic_percent
    stays = percent is not None and percent < 100
    if not (stays or rollout.steps):
        return False
    if not same_servers(place.serving, place.candidate):
        raise ServiceError(
            f"deployment.rollout.{'canaryTrafficPercent' if stays else 'steps'}: a share of the traffic needs both "
            "versions to have the same kinds of servers, and this change adds or removes Triton or the entry script; "
            "leave the setting out for this change"
        )
    if not place.open():
        progress("no front door is open yet, so nobody sends requests: the new version needs no share of them")
        return False
    begin(percent if stays else None)
    if stays:
        place.share(weight=percent or 0)
        recorder.stays(percent or 0)
        progress(f"generation {new} gets {percent} % of the traffic, until a later `up`")
        return True
    recorder.plan(len(rollout.steps))
    Canary(rollout=rollout, new=new, old=old, shares=place, progress=progress, record=recorder.step).judge()
    return False


def note_no_shares(rollout: RolloutPlan, old: int, progress: Callable[[str], object]) -> None:
    """Say that a new generation gets all of the traffic at once, because the `old` one is ill; the gates passed."""
    percent = rollout.canary_traffic_percent
    if rollout.steps or (percent is not None and percent < 100):
        asked = "steps" if rollout.steps else "canaryTrafficPercent"
        progress(
            f"generation {old} is not well, so the new one gets all of the traffic at once: deployment.rollout.{asked} "
            "needs one that serves beside it"
        )


def shares(
    current: int | None, candidate: int | None, percent: int | None, is_changing: Callable[[], bool]
) -> list[str]:
    """Say who has which share of the traffic, for people; nothing where one generation has all of it.

    Args:
        current: The number of the generation that serves.
        candidate: The number of the one beside it.
        percent: The share at which the candidate stays; None in the steps of a rollout.
        is_changing: Tells whether a rollout is under way. A killed one leaves its candidate.
    """
    if not current or not candidate:
        return []
    if percent is None and not is_changing():
        return [
            f"a rollout of generation {candidate} beside generation {current} was stopped in its steps; the next `up` "
            "ends it"
        ]
    if percent is None:
        return [f"generation {candidate} goes through the steps of a rollout beside generation {current}"]
    return [f"generation {current} has {100 - percent} % of the traffic, generation {candidate} has {percent} %"]


def same_servers(one: Upstreams, other: Upstreams) -> bool:
    """Tell whether two generations have the same kinds of servers, as shares of traffic need."""
    return one.kinds == other.kinds
