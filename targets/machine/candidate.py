"""A new generation beside the serving one, at the front door of a service of this machine.

Place.open ──► Place.share(weight=10) ... ──► Place.withdraw      the serving generation has all of it again
                                         └──► Place.promote       the new one has all of it
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from gateway.admin import AdminError
from gateway.front_door_options import Candidate, Upstreams
from gateway.generation_figures import Snapshot
from gateway.traffic_share import Share

__all__ = ["Place", "same_servers"]


@dataclass(frozen=True)
class Place:
    """The place of one candidate: `targets.canary.Shares` for a front door of this machine."""

    door: Share
    serving: Upstreams
    candidate: Upstreams

    def open(self) -> bool:
        """Give the candidate its place, and no traffic yet; false where no front door was ever opened here."""
        return self.door.open(self.serving, self.candidate)

    def share(self, *, weight: int = 0, mirror: int = 0) -> None:
        """Send the candidate its share; returns once Envoy does so."""
        self.door.share(self.serving, Candidate(self.candidate, weight, mirror))

    def figures(self) -> Mapping[str, Snapshot]:
        """Give what both generations did since Envoy's start."""
        return {"the front door": self.door.figures()}

    def withdraw(self, drain_seconds: float) -> None:
        """Send everything to the serving generation at once, let the candidate's requests end, and end its place."""
        self.share()
        with suppress(AdminError):  # it does not run: nobody has a request at the candidate
            self.door.admin.await_idle(self.candidate, drain_seconds)
        self.door.close(self.serving)

    def promote(self, send_to_new: Callable[[], None]) -> None:
        """Send everything to the candidate; `send_to_new` makes it the serving generation meanwhile."""
        self.share(weight=100)
        send_to_new()
        self.door.close(self.candidate)


def same_servers(one: Upstreams, other: Upstreams) -> bool:
    """Tell whether two generations have the same kinds of servers, as shares of traffic need."""
    return set(one.by_cluster()) == set(other.by_cluster())
