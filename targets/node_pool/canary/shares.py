"""A candidate's share of the traffic at all Envoys of a service.

    open()              the candidate's clusters; it gets nothing yet
    share(weight=10)    routes.json alone
    close()             the routes without a share, then the declared files again

The files are in a ConfigMap of their own (`Names.shares`), which each Envoy's pod mounts over the declared one. It
counts while it is there, also for an Envoy that starts. Once it is gone the declared files hold, in which the replicas
have all of the traffic. A kubelet looks after a changed ConfigMap once a minute or so, but at once where the pod itself
changes: so each share is written on the pods too, as an annotation. Both Envoys of a real cluster used 70 of 70 changed
shares within 0.33 s of the change.
"""

import time
from collections.abc import Mapping
from dataclasses import replace

from common.waiting import wait_until
from gateway import envoy_files
from gateway.admin import Admin, AdminError
from gateway.front_door_options import INFERENCE, Candidate, Options, Upstreams, candidate_cluster
from gateway.generation_figures import Snapshot
from targets.node_pool.canary.envoys import Envoys
from targets.node_pool.canary.portion import Portion
from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.object_names import FRONT_DOOR, OWNER_ANNOTATION, Names
from targets.node_pool.rendering import Manifest

__all__ = ["DoorShares"]

_TAKEN_SECONDS = 20.0
_AGAIN_SECONDS = 1.0  # a kubelet that heard of the pod before it heard of the ConfigMap needs a second word
_MEMBERS_SECONDS = 60.0
_POLL_SECONDS = 0.05


class DoorShares:
    """The share of one candidate: `targets.canary.Shares` for the Envoys of a node pool.

    Args:
        cluster: The cluster.
        names: The service's names.
        owner: The stack.
        envoys: The service's Envoys.
        options: The options of each Envoy without a candidate.
        candidate: The servers of the candidate.
    """

    def __init__(
        self, cluster: Cluster, names: Names, owner: str, envoys: Envoys, options: Options, candidate: Upstreams
    ) -> None:
        self._cluster, self._names, self._owner, self._envoys = cluster, names, owner, envoys
        self._options, self._candidate = options, candidate

    def open(self) -> bool:
        """Give the candidate its place, with no traffic or the share that it has; false where no Envoy takes requests.

        Raises:
            AdminError: An Envoy does not take it, or finds no server of the candidate.
        """
        if not self._envoys.admins():
            return False
        has = Portion.of(self._cluster, self._names) or Portion()
        self._change(has)
        wanted = {candidate_cluster(name) for name in self._candidate.by_cluster() if name in INFERENCE}
        missing: dict[str, set[str]] = {}

        def all_known() -> bool:
            nonlocal missing
            known = self._envoys.ask(Admin.members)
            missing = {pod: {name for name in wanted if not members.get(name)} for pod, members in known.items()}
            return not any(missing.values())

        if not wait_until(all_known, seconds=_MEMBERS_SECONDS, every=_POLL_SECONDS):
            pod, clusters = next((pod, names) for pod, names in missing.items() if names)
            raise AdminError(
                f"envoy: pod {pod} finds no replica of the candidate in the DNS name {self._names.candidates} after "
                f"{_MEMBERS_SECONDS:.0f} s ({', '.join(sorted(clusters))}); does the cluster's DNS answer?"
            )
        return True

    def share(self, *, weight: int = 0, mirror: int = 0) -> None:
        """Send the candidate its share; returns once every Envoy does so."""
        self._change(Portion(weight, mirror))

    def stay(self, weight: int) -> None:
        """Send the candidate a share that stays until a later `up`, and write down that it does."""
        self._change(Portion(weight, stays=True))

    def _change(self, portion: Portion) -> None:
        candidate = Candidate(self._candidate, portion.weight, portion.mirror)
        files = envoy_files.render(replace(self._options, candidate=candidate))
        self._write({name: files[name] for name in ("clusters.json", "routes.json")}, portion)

    def close(self) -> None:
        """Send everything to the replicas, then end the candidate's place."""
        self.share()
        self._cluster.delete("configmaps", self._names.namespace, self._names.shares)
        self._envoys.poke("declared")  # nobody waits for it: Envoy's files say the same, but for idle clusters

    def figures(self) -> Mapping[str, Snapshot]:
        """Give what both generations did since each Envoy's start, by its pod."""
        return self._envoys.ask(Admin.figures)

    def _write(self, files: dict[str, str], portion: Portion) -> None:
        names = self._names
        metadata = {
            "name": names.shares,
            "namespace": names.namespace,
            "labels": names.labels(FRONT_DOOR),
            "annotations": {OWNER_ANNOTATION: self._owner, **portion.annotations},
        }
        manifest: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": files}
        self._cluster.apply(manifest)
        self._await(files)

    def _await(self, files: dict[str, str]) -> None:
        """Have every Envoy read the files now, and wait until all use them."""
        wanted = {name: envoy_files.version(text) for name, text in files.items()}
        poked = -_AGAIN_SECONDS
        late: list[str] = []

        def taken() -> bool:
            nonlocal poked, late
            if time.monotonic() - poked > _AGAIN_SECONDS:
                poked = time.monotonic()
                self._envoys.poke(f"{'-'.join(wanted.values())} {poked:.1f}")
            try:
                found = self._envoys.ask(Admin.versions)
            except AdminError:
                return False  # it ends, or its connection does
            late = [pod for pod, versions in found.items() if not self._uses(versions, wanted)]
            return not late

        if not wait_until(taken, seconds=_TAKEN_SECONDS, every=_POLL_SECONDS):
            raise AdminError(
                f"envoy: a changed share of the traffic is not in use after {_TAKEN_SECONDS:.0f} s by "
                f"{', '.join(late) or 'an Envoy that does not answer'}; its log says why (kubectl logs)"
            )

    @staticmethod
    def _uses(versions: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
        return all(versions.get(name) == version for name, version in wanted.items())
