"""A service's candidate on the cluster of KUBECONFIG, as `up` asks the provider for it."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provider.resources.node_pool_canary import DOOR
from targets.node_pool.canary.portion import Portion
from targets.node_pool.lifecycle import Times
from targets.node_pool.needs import Needs
from targets.node_pool.object_names import CANDIDATE, Names
from targets.node_pool.objects.candidate import candidate
from targets.node_pool.objects.gateway_files import gateway_options
from targets.rollout_record import RolloutRecord, records
from tests.cluster.service import DEPLOYMENT, Service
from tests.provider import asking

KIND = "NodePoolCanary"
ALONE = f"import json, sys; from tests.provider.asking import create; create({KIND!r}, json.load(sys.stdin))"


@dataclass
class Said(list[str]):
    """Lines, and when each was said."""

    at: list[float] = field(default_factory=list)

    def append(self, line: str) -> None:
        print(line)
        super().append(line)
        self.at.append(time.monotonic())


class CanaryOf:
    """The candidate of a service that is deployed."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service, self.reports = service, folder / "reports"
        self.names = Names(service.name, service.namespace)

    def inputs(self, built: tuple[str, int], **rollout: Any) -> dict[str, Any]:
        """What a program declares for a rollout to one of the images."""
        options = self.service.options(*built, rollout={**DEPLOYMENT["rollout"], **rollout})
        times = Times.of(options)
        return {
            "context": "",
            "namespace": self.names.namespace,
            "owner": options.owner,
            "service": self.names.service,
            "generation": self.service.generation(options),
            "objects": json.dumps(candidate(options)),
            "door": DOOR.dump_json(gateway_options(options)).decode(),
            "rollout": options.rollout.model_dump(mode="json", by_alias=True, exclude_none=True),
            "needs": Needs.of(CANDIDATE, options.settings).model_dump(),
            "provisionSeconds": times.provision,
            "startupSeconds": times.startup,
            "graceSeconds": times.grace + 30,
            "reports": str(self.reports),
        }

    def up(self, built: tuple[str, int], said: list[str] | None = None, **rollout: Any) -> dict[str, Any]:
        """Take a version to where the rollout's settings want it; gives the outputs."""
        return asking.create(KIND, self.inputs(built, **rollout), Said() if said is None else said)

    def begun(self, built: tuple[str, int], **rollout: Any) -> subprocess.Popen[str]:
        """Do the same in a process of its own, which a test may kill."""
        process = subprocess.Popen([sys.executable, "-c", ALONE], stdin=subprocess.PIPE, text=True)
        assert process.stdin is not None
        process.stdin.write(json.dumps(self.inputs(built, **rollout)))
        process.stdin.close()
        return process

    def portion(self) -> Portion | None:
        return Portion.of(self.service.cluster, self.names)

    def is_gone(self) -> bool:
        """Whether nothing of a candidate is left."""
        kinds = ("deployments", "services", "configmaps", "secrets", "pods", "networkpolicies", "poddisruptionbudgets")
        left = self.service.kube.names(self.names.namespace, kinds)
        starts = tuple(f"/{name}" for name in (self.names.candidate, self.names.prover, self.names.shares))
        return not [name for name in left if any(start in name for start in starts)]

    def record(self) -> RolloutRecord:
        """The newest rollout's record."""
        return RolloutRecord.model_validate_json(records(self.reports)[-1].read_text())
