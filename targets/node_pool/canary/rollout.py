"""A new generation beside the serving one on a node pool, before the Deployment of the replicas changes.

    start the candidate ──► probes ──► gates ──► a place at all Envoys ──► steps ──► the candidate goes
            └─────────────────┴──────────┴──────────────┴────────────────────┤           └──► the replicas' own rollout
                                                        │                    └──► refused: the candidate goes,
                                                        │                         and the replicas stay as they are
                                                        └──► stays at `canaryTrafficPercent` until a later `up`

The candidate goes before the replicas change: what it ran on, a spare GPU say, is what their rollout needs. What
a killed `up` left is taken back by the next one, which says so: all of it is in the cluster, and nothing else is known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.waiting import shielded
from gateway.admin import AdminError
from gateway.front_door_options import Options as DoorOptions
from settings.schema import Target
from settings.service_groups import RolloutPlan
from targets.canary import Canary
from targets.errors import ServiceError
from targets.node_pool.canary.candidate import Candidate, Live
from targets.node_pool.canary.envoys import Envoys
from targets.node_pool.canary.portion import Portion
from targets.node_pool.canary.prover import Prover, records_requests, variables
from targets.node_pool.canary.shares import DoorShares
from targets.node_pool.cluster.cluster_client import Cluster, ClusterError
from targets.node_pool.object_names import CANDIDATE, REPLICA, Names
from targets.node_pool.objects.gateway_files import upstreams
from targets.proving import Proof
from targets.rollout_recorder import Recorder

__all__ = ["CanaryRollout", "Found", "measured"]

_PERCENT = "deployment.rollout.canaryTrafficPercent"


@dataclass(frozen=True)
class Found:
    """Who has the traffic: the generation of the replicas, and a candidate ("" without one) with its share."""

    serving: str
    candidate: str = ""
    weight: int = 0


@dataclass(frozen=True, kw_only=True)
class CanaryRollout:
    """A generation's way to the traffic, up to the replicas' own rollout.

    Attributes:
        cluster: The cluster.
        names: The service's names.
        owner: The stack.
        candidate: The generation, as a candidate.
        door: The options of each Envoy without a candidate.
        rollout: The steps, or the share that stays.
        reports: The folder of the rollouts' records.
        say: Is told what happens.
    """

    cluster: Cluster
    names: Names
    owner: str
    candidate: Candidate
    door: DoorOptions
    rollout: RolloutPlan
    reports: Path
    say: Callable[[str], None]

    def apply(self) -> Found:
        """Take the generation to where its settings want it.

        Returns:
            Who has the traffic, or gets it by the replicas' rollout that follows.

        Raises:
            ServiceError: It was refused, or could not be judged. The replicas have all of the traffic.
            Cancelled: Somebody cancelled; the same holds.
        """
        wanted, percent = self.candidate.generation, self.rollout.canary_traffic_percent
        old = Live.of(self.cluster, self.names.namespace, self.names.service)
        stays = percent is not None and percent < 100
        with Envoys.of(self.cluster, self.names) as envoys:
            shares = DoorShares(
                self.cluster,
                self.names,
                self.owner,
                envoys,
                self.door,
                upstreams(self.names.candidates, triton=self._has("triton"), scorer=self._has("scorer")),
            )
            if old is None or old.generation == wanted:
                self._take_back(shares, "nothing new is declared")
                return Found(wanted)
            if percent == 0:
                self._take_back(shares, f"{_PERCENT} is 0")
                self.say(f"{_PERCENT} is 0: the new version gets no traffic")
                return Found(old.generation)
            proved = self._is_proved()
            if not (stays or self.rollout.steps or (self.rollout.has_gates and not proved)):
                self._take_back(shares, "the replicas' own rollout follows")
                return Found(wanted)
            return self._try(shares, old, percent if stays else None, proved=proved)

    def _has(self, server: str) -> bool:
        return server in self.candidate.servers

    def _is_proved(self) -> bool:
        """Tell whether an `up` before left this very generation at a share that stays."""
        found, portion = self.candidate.live(), Portion.of(self.cluster, self.names)
        same = found is not None and found.generation == self.candidate.generation
        return same and portion is not None and portion.stays

    def _try(self, shares: DoorShares, old: Live, percent: int | None, *, proved: bool) -> Found:
        """Start the candidate, and take it through the gates and the steps, or to the share that stays."""
        new = old.number + 1
        if percent is not None or self.rollout.steps:
            self._check(old)
        found = self.candidate.live()
        if found is not None and found.generation != self.candidate.generation:
            self._take_back(shares, "it is of another version than the declared one")
        elif found is not None and not proved:
            self.say(f"the candidate of an `up` that ended early is there: generation {new} starts anew with it")
            shares.close()
        recorder = Recorder(
            self.reports,
            service=self.names.service,
            target=Target.NODE_POOL.value,
            generation=new,
            before=old.number,
            progress=self.say,
        )
        with recorder.recording():
            try:
                self.candidate.start(self.say)
                if not proved:
                    self._prove(old, new, recorder)
                if percent is None and not self.rollout.steps:
                    self.say(f"generation {new} is proved")
                elif not shares.open():
                    self.say("no Envoy takes requests yet, so nobody sends any: the new version needs no share of them")
                elif percent is not None:
                    shares.stay(percent)
                    recorder.stays(percent)
                    self.say(f"generation {new} gets {percent} % of the traffic, until a later `up`")
                    return Found(old.generation, self.candidate.generation, percent)
                else:
                    recorder.plan(len(self.rollout.steps))
                    Canary(
                        rollout=self.rollout,
                        new=new,
                        old=old.number,
                        shares=shares,
                        progress=self.say,
                        record=recorder.step,
                    ).judge()
            except BaseException:
                with shielded():  # a cancelled rollout ends as a failed one
                    self._leave(shares)
                raise
            self._take_back(shares, "the replicas' own rollout follows")
        return Found(self.candidate.generation)

    def _prove(self, old: Live, new: int, recorder: Recorder) -> None:
        """Let the candidate pass the gates, beside the replicas where they serve."""
        if not self.rollout.has_gates:
            return
        prover = Prover(self.cluster, self.names, self.candidate.owner())
        deployment, serving = (
            self.candidate.objects[-1],
            self.cluster.get("deployments", self.names.namespace, self.names.service),
        )
        Proof(
            rollout=self.rollout,
            service_name=self.names.service,
            variables=variables(deployment),
            new=prover.side(new, CANDIDATE, deployment),
            old=prover.side(old.number, REPLICA, serving) if serving and old.ready else None,
            front_door_metrics=prover.front_door_metrics(),
            run=partial(prover.prove, deployment),
            progress=self.say,
            record=recorder.prove,
            records=records_requests(deployment),
        ).judge()

    def _check(self, old: Live) -> None:
        """Refuse what shares of the traffic cannot do."""
        share = "steps" if self.rollout.steps else "canaryTrafficPercent"
        if old.servers != self.candidate.servers:
            before, now = (" and ".join(sorted(names)) for names in (old.servers, self.candidate.servers))
            raise ServiceError(
                f"deployment.rollout.{share}: the version that serves has {before}, the new one {now}; a share of the "
                "traffic needs both to have the same; leave it out for this rollout"
            )
        if not old.ready:
            raise ServiceError(
                f"deployment.rollout.{share}: no replica of {self.names.service} is ready, so nothing serves beside "
                "the new version; leave it out for this rollout"
            )

    def _leave(self, shares: DoorShares) -> None:
        """Take back what was begun, as far as the cluster lets it."""
        try:
            self._take_back(shares, "")
        except (ClusterError, AdminError, ServiceError) as error:
            self.say(f"the candidate is not removed: {error}; the next up takes it back")

    def _take_back(self, shares: DoorShares, why: str) -> None:
        """Give the replicas all of the traffic, and remove the candidate: whatever is there."""
        portion, found = Portion.of(self.cluster, self.names), self.candidate.live()
        if portion is not None or found is not None:
            # Also where somebody deleted the share: Envoys use it until their kubelets look, a minute later or so.
            shares.close()
            self.say("the replicas have all of the traffic" + (f": {why}" if why else ""))
        if found is not None:
            self.say(f"removing the candidate's {found.ready} replicas")
            self.candidate.remove()


def measured(cluster: Cluster, names: Names) -> Found:
    """Tell who has the traffic."""
    replicas, candidate = (Live.of(cluster, names.namespace, name) for name in (names.service, names.candidate))
    portion = Portion.of(cluster, names)
    return Found(
        replicas.generation if replicas else "",
        candidate.generation if candidate else "",
        portion.weight if portion else 0,
    )
