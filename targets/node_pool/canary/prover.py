"""The prover on a node pool: a pod of a service's image, which is gone when this returns.

It runs beside both generations and reaches them by their headless Services. What their probes ask is in their images: a
pod of each shows it. A pod belongs to the candidate's Deployment, so what a killed `up` leaves goes with that.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.waiting import shielded, wait_until
from environment.image_layout import PROBE_SCORER, PROBE_TRITON, SCORER_PORT, TRITON_HTTP_PORT
from targets.errors import ServiceError
from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.cluster.diagnosis import has_started
from targets.node_pool.cluster.replicas import pod_troubles
from targets.node_pool.object_names import FRONT_DOOR, PROVER, STATISTICS_PORT, Names
from targets.node_pool.rendering import Manifest
from targets.proving import PROVER as ARGUMENTS
from targets.proving import Outcome, Servers, Side
from targets.role import Role

__all__ = ["Prover", "records_requests", "variables"]

_PLAN, _PLAN_FILE = "/run/plan", "plan.json"
_MOST_BYTES = 1_000_000  # what Kubernetes takes in one Secret
_SHOW = (
    "import json, sys; shown = [json.load(open(path)) for path in sys.argv[1:]]; "
    "print(json.dumps({name: value for one in shown for name, value in one.items()}))"
)
_PROBES = {Role.TRITON.value: PROBE_TRITON, Role.SCORER.value: PROBE_SCORER}
_PORTS = {Role.TRITON.value: TRITON_HTTP_PORT, Role.SCORER.value: SCORER_PORT}
_POLL_SECONDS = 1.0
_SHOWN_SECONDS = 120.0
_LINES = 2000


@dataclass(frozen=True)
class Prover:
    """The pods of one proof.

    Attributes:
        cluster: The cluster.
        names: The service's names.
        owner: The candidate's Deployment, as an owner reference.
    """

    cluster: Cluster
    names: Names
    owner: Mapping[str, Any]

    def side(self, number: int, component: str, deployment: Manifest) -> Side:
        """Describe a generation: where its component is, and what its image says that its probe asks."""
        serving = [name for name in _PORTS if name in _containers(deployment)]
        shown = self._run(deployment, ["-I", "-c", _SHOW, *(_PROBES[name] for name in serving)], _SHOWN_SECONDS)
        if shown.status != 0:
            raise ServiceError(f"generation {number} does not show what its probe asks: {' '.join(shown.said[-3:])}")
        host = self.names.headless(component)
        urls = {name: f"http://{host}:{_PORTS[name]}" for name in serving}
        return Side(number, Servers(**urls), json.loads(shown.output))

    def front_door_metrics(self) -> str | None:
        """Find the metrics of an Envoy; each tells how its part of production fares."""
        found = self.cluster.select("pods", self.names.namespace, self.names.selector(FRONT_DOOR))
        addresses = [pod.get("status", {}).get("podIP") for pod in found if "deletionTimestamp" not in pod["metadata"]]
        address = next(filter(None, addresses), None)
        return f"http://{address}:{STATISTICS_PORT}/stats/prometheus" if address else None

    def prove(self, deployment: Manifest, plan: str, seconds: float, progress: Callable[[str], None]) -> Outcome:
        """Run the prover on a plan, in the image of a Deployment.

        Raises:
            ServiceError: The plan is too large, or no node takes the pod.
        """
        if len(plan) > _MOST_BYTES:
            raise ServiceError(
                f"the golden requests have {len(plan) / 1e6:.1f} MB, and Kubernetes passes "
                f"{_MOST_BYTES / 1e6:.0f} MB to a pod; expected smaller ones, or deployment.rollout "
                "without replay and performance"
            )
        names = self.names
        metadata = {**self._metadata(), "name": names.prover}
        data = {_PLAN_FILE: b64encode(plan.encode()).decode()}
        try:
            self.cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
            return self._run(deployment, [*ARGUMENTS], seconds, progress, plan=True)
        finally:
            with shielded():
                self.cluster.delete("secrets", names.namespace, names.prover)

    def _run(
        self,
        deployment: Manifest,
        arguments: Sequence[str],
        seconds: float,
        progress: Callable[[str], None] | None = None,
        *,
        plan: bool = False,
    ) -> Outcome:
        """Run Python in a pod of a Deployment's image; its output is the last line, the others are progress."""
        names, told = self.names, list[str]()
        spec = _spec(deployment, arguments, names.prover if plan else "")

        def lines() -> list[str]:
            return self.cluster.logs(names.namespace, names.prover, str(Role.PROVER), lines=_LINES)

        def ended() -> Manifest | None:
            pod = self._pod()
            if progress is not None and has_started(pod):
                new = [line for line in lines() if not line.startswith("{")]
                for line in new[len(told) :]:
                    progress(line)
                told[:] = new
            return pod if pod.get("status", {}).get("phase") in ("Succeeded", "Failed") else None

        try:
            self._remove()
            metadata = {**self._metadata(), "name": names.prover}
            self.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
            if not wait_until(lambda: has_started(self._pod()), seconds=_SHOWN_SECONDS, every=_POLL_SECONDS):
                found = [str(trouble) for trouble in pod_troubles(self.cluster, self._pod())]
                raise ServiceError(f"the prover has not started after {_SHOWN_SECONDS:.0f} s: {'; '.join(found)}")
            over = wait_until(ended, seconds=seconds, every=_POLL_SECONDS)
            written = lines()
            output = next((line for line in reversed(written) if line.startswith("{")), "")
            said = [line for line in written if not line.startswith("{")]
            return Outcome(_status(over) if over else None, output, said)
        finally:
            with shielded():
                self._remove()

    def _pod(self) -> Manifest:
        found = self.cluster.get("pods", self.names.namespace, self.names.prover)
        if found is None:
            raise ServiceError(f"somebody deleted the pod {self.names.prover} while it ran")
        return found

    def _remove(self) -> None:
        self.cluster.delete("pods", self.names.namespace, self.names.prover)

        def is_gone() -> bool:
            return self.cluster.get("pods", self.names.namespace, self.names.prover) is None

        wait_until(is_gone, seconds=_SHOWN_SECONDS, every=_POLL_SECONDS)

    def _metadata(self) -> Manifest:
        names = self.names
        return {
            "namespace": names.namespace,
            "labels": names.labels(PROVER),
            "ownerReferences": [dict(self.owner)],
        }


def variables(deployment: Manifest) -> dict[str, str]:
    """Give the variables of a Deployment's main container, which say where requests are recorded."""
    return {one["name"]: one.get("value", "") for one in _main(deployment).get("env", ())}


def records_requests(deployment: Manifest) -> bool:
    """Tell whether a Deployment's pods have a recorder."""
    return str(Role.RECORDER) in _containers(deployment)


def _main(deployment: Manifest) -> Manifest:
    found: Manifest = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


def _containers(deployment: Manifest) -> set[str]:
    pod = deployment["spec"]["template"]["spec"]
    return {one["name"] for one in [*pod.get("initContainers", []), *pod["containers"]]}


def _spec(deployment: Manifest, arguments: Sequence[str], secret: str) -> Manifest:
    """Write a pod like a Deployment's, without GPUs, that runs Python once; a plan comes in by a Secret."""
    pod, main = deployment["spec"]["template"]["spec"], _main(deployment)
    kept = ("image", "imagePullPolicy", "env", "envFrom", "securityContext")
    resources = {
        bound: {name: amount for name, amount in amounts.items() if name in ("cpu", "memory")}
        for bound, amounts in main["resources"].items()
        if bound in ("requests", "limits")
    }
    command = ["python", *arguments]
    mounts = [mount for mount in main["volumeMounts"] if mount["mountPath"] != "/dev/shm"]
    volumes = [one for one in pod["volumes"] if one["name"] in {mount["name"] for mount in mounts}]
    if secret:
        command = ["sh", "-c", f'exec "$@" < {_PLAN}/{_PLAN_FILE}', "sh", *command]
        mounts.append({"name": "plan", "mountPath": _PLAN, "readOnly": True})
        volumes.append({"name": "plan", "secret": {"secretName": secret, "defaultMode": 0o440}})
    container = {
        **{name: main[name] for name in kept if name in main},
        "name": str(Role.PROVER),
        "command": command,
        "resources": resources,
        "volumeMounts": mounts,
    }
    left_out = ("initContainers", "containers", "volumes", "topologySpreadConstraints", "restartPolicy")
    return {
        **{name: value for name, value in pod.items() if name not in left_out},
        "terminationGracePeriodSeconds": 0,
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": volumes,
    }


def _status(pod: Manifest) -> int:
    (container,) = pod["status"]["containerStatuses"]
    return int(container["state"].get("terminated", {}).get("exitCode", 1))
