"""Names, labels and ports of a service's objects."""

from dataclasses import dataclass
from typing import Any

from settings.schema import Settings
from targets.node_pool.rendering import Manifest, Options

__all__ = [
    "CANDIDATE",
    "FRONT_DOOR",
    "FRONT_DOOR_PORT",
    "GENERATION_ANNOTATION",
    "OWNER_ANNOTATION",
    "PROVER",
    "REPLICA",
    "STATISTICS_PORT",
    "Names",
    "manifest",
]

FRONT_DOOR_PORT = 8080
STATISTICS_PORT = 9901

OWNER_ANNOTATION = "triton-serving/stack"
GENERATION_ANNOTATION = "triton-serving/generation"  # on a Deployment: the digest of what its pods are

_INSTANCE = "app.kubernetes.io/instance"
_COMPONENT = "app.kubernetes.io/component"

# The components of a service, as labels name them.
REPLICA = "replica"
CANDIDATE = "candidate"
PROVER = "prover"
FRONT_DOOR = "front-door"


@dataclass(frozen=True)
class Names:
    """The names of a service's objects: its own for what clients and people look for, suffixed ones for the rest.

    The Service of the service's name is the front door's, the Deployment of that name is the replicas'.
    """

    service: str
    namespace: str

    @classmethod
    def of(cls, options: Options) -> "Names":
        """Give the names of a rendering's objects."""
        return cls.of_settings(options.settings)

    @classmethod
    def of_settings(cls, settings: Settings) -> "Names":
        """Give the names of the objects of a stack with these settings."""
        return cls(settings.service_name, settings.node_pool.namespace)

    @property
    def front_door(self) -> str:
        """Envoy: its Deployment, ServiceAccount, ConfigMap and what guards it."""
        return f"{self.service}-front-door"

    @property
    def replicas(self) -> str:
        """The headless Service whose DNS name gives the addresses of all ready replicas."""
        return f"{self.service}-replicas"

    @property
    def candidate(self) -> str:
        """The second generation's replicas during a canary: their Deployment and what guards them."""
        return f"{self.service}-candidate"

    @property
    def candidates(self) -> str:
        """The headless Service of the candidate's replicas."""
        return f"{self.service}-candidates"

    @property
    def prover(self) -> str:
        """The pod that proves a candidate: with its plan, and what lets it in."""
        return f"{self.service}-prover"

    @property
    def shares(self) -> str:
        """The ConfigMap that is there during a canary: the files by which Envoy divides the traffic."""
        return f"{self.service}-shares"

    def deployment(self, component: str) -> str:
        """The Deployment of a component, which its guards are named after."""
        return {REPLICA: self.service, CANDIDATE: self.candidate, FRONT_DOOR: self.front_door}[component]

    def headless(self, component: str) -> str:
        """The headless Service of the replicas, or of the candidate's."""
        return self.candidates if component == CANDIDATE else self.replicas

    @property
    def keys(self) -> str:
        """The Secret of the two keys."""
        return f"{self.service}-keys"

    @property
    def image_pull(self) -> str:
        """The Secret with the password of the image's registry."""
        return f"{self.service}-image-pull"

    @property
    def certificate(self) -> str:
        """The Secret of the front door's certificate."""
        return f"{self.service}-tls"

    @property
    def statistics(self) -> str:
        """The headless Service of Envoy's statistics, for a ServiceMonitor."""
        return f"{self.service}-statistics"

    @property
    def adapter_rule(self) -> str:
        """The ConfigMap with the Prometheus adapter's rule."""
        return f"{self.service}-prometheus-adapter"

    @property
    def dashboard(self) -> str:
        """The ConfigMap with Grafana's dashboard."""
        return f"{self.service}-dashboard"

    def metrics_of(self, component: str) -> str:
        """Select, in PromQL, the metrics of a component's pods, whose names start with their Deployment's."""
        name = self.deployment(component)
        return f'namespace="{self.namespace}",pod=~"{name}-[0-9a-z]+-[0-9a-z]+"'

    def selector(self, component: str) -> dict[str, str]:
        """Give the labels that find the pods of a component: `replica`, `candidate` or `front-door`."""
        return {_INSTANCE: self.service, _COMPONENT: component}

    def selector_of(self, components: list[str]) -> str:
        """Write, in the words of `kubectl`, what finds the pods of some components."""
        return f"{_INSTANCE}={self.service},{_COMPONENT} in ({','.join(components)})"

    def labels(self, component: str) -> dict[str, str]:
        """Give the labels of an object of a component."""
        return {
            "app.kubernetes.io/name": "triton-serving",
            "app.kubernetes.io/managed-by": "pulumi",
            **self.selector(component),
        }


def manifest(
    options: Options,
    api_version: str,
    kind: str,
    name: str,
    component: str,
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    **fields: Any,
) -> Manifest:
    """Make an object in the service's namespace, with its labels and its owner; `fields` are `spec`, `data`, ..."""
    names = Names.of(options)
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": names.namespace,
            "labels": {**names.labels(component), **(labels or {})},
            "annotations": {OWNER_ANNOTATION: options.owner, **(annotations or {})},
        },
        **fields,
    }
