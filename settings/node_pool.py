"""The settings of target `node-pool`: what a Kubernetes cluster has to know beyond `deployment`.

Names are Azure's where its `AksWebservice.deploy_configuration` had one (`numReplicas`, `cpuCoresLimit`,
`memoryGbLimit`, `minReplicas`, `maxReplicas`, `targetUtilization`, `namespace`).
"""

import math
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, StringConstraints

from settings.group import Group

__all__ = ["Autoscale", "Exposure", "FrontDoor", "Monitoring", "NodePoolSettings", "ParentGateway", "Toleration"]

DnsLabel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
DnsName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
ExtendedResource = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")
]


class Toleration(Group):
    """A taint that pods put up with, as Kubernetes writes it."""

    key: str = Field(min_length=1, description="the taint's key")
    operator: Literal["Equal", "Exists"] = Field(default="Equal", description="Exists: whatever its value")
    value: str | None = Field(default=None, description="the taint's value")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="the taint's effect; by default each"
    )


class FrontDoor(Group):
    """Envoy's pods. The image holds `envoy` and `bash`, as Envoy's own images (not the distroless ones) do."""

    image: str = Field(default="docker.io/envoyproxy/envoy:v1.40.0", min_length=1, description="Envoy's image")
    num_replicas: PositiveInt = Field(default=2, description="pods")
    cpu_cores: PositiveFloat = Field(default=0.5, description="of a pod")
    memory_mb: PositiveInt = Field(default=512, description="of a pod")
    on_pool: bool = Field(default=False, description="run on the GPU pool too, for clusters that have no other nodes")

    @property
    def worker_threads(self) -> int:
        """Threads of Envoy: one for each core, and at least one."""
        return max(1, round(self.cpu_cores))


class ParentGateway(Group):
    """The Gateway (Gateway API) that a route attaches to."""

    name: DnsName = Field(description="the Gateway's name")
    namespace: DnsLabel | None = Field(default=None, description="its namespace; by default the service's")
    section_name: str | None = Field(default=None, description="one listener of it")


class Exposure(Group):
    """How clients outside the cluster reach the front door."""

    kind: Literal["cluster", "loadBalancer", "ingress", "gateway"] = Field(
        default="cluster", description="cluster: pods alone reach it"
    )
    host: DnsName | None = Field(default=None, description="the name that clients call")
    annotations: dict[str, str] = Field(default={}, description="of the Service, Ingress or HTTPRoute")
    internal: bool = Field(default=False, description="the load balancer's address is a private one")
    source_ranges: list[str] = Field(default=[], description="CIDRs that the load balancer lets in")
    class_name: DnsName | None = Field(default=None, description="of the Ingress")
    tls_secret: DnsName | None = Field(default=None, description="the Secret with the Ingress's certificate")
    gateway: ParentGateway | None = Field(default=None, description="the Gateway (Gateway API) of kind gateway")
    address_seconds: PositiveInt = Field(
        default=600, description="for the load balancer, the Ingress's controller or the Gateway to be there"
    )

    @property
    def reached_by_address(self) -> bool:
        """Tell whether clients anywhere reach the front door at the address of its load balancer."""
        return self.kind == "loadBalancer" and not self.internal


class Autoscale(Group):
    """Replicas by load: Triton's queue time per request or CPU, by Kubernetes itself or by KEDA."""

    min_replicas: NonNegativeInt = Field(default=1, description="0 with KEDA alone")
    max_replicas: PositiveInt = Field(default=10, description="the most that there may be")
    by: Literal["queueTime", "cpu"] = Field(default="queueTime", description="what decides")
    target_queue_ms: PositiveFloat = Field(default=50, description="that a request may wait in Triton's queue")
    target_utilization: int = Field(default=70, ge=1, le=100, description="per cent of the CPU requested")
    keda: bool = Field(default=False, description="let KEDA scale")
    prometheus: str | None = Field(default=None, description="Prometheus's address as KEDA reaches it", min_length=1)


class Monitoring(Group):
    """What Prometheus and Grafana get, for clusters that run their operators."""

    namespace: DnsLabel = Field(default="monitoring", description="whose pods may read metrics")
    scrape: Literal["podMonitor", "serviceMonitor"] | None = Field(default=None, description="the operator's object")
    alerts: bool = Field(default=False, description="make a PrometheusRule")
    dashboard: bool = Field(default=False, description="make Grafana's dashboard")
    labels: dict[str, str] = Field(default={}, description="by which the operator finds its objects")


class NodePoolSettings(Group):
    """Where in the cluster the service runs and how; everything has a default or comes from the preset."""

    context: str | None = Field(default=None, description="of the kubeconfig; by default its current one", min_length=1)
    cluster_stack: str | None = Field(
        default=None, description="organization/project/stack that exports the kubeconfig; by default this machine's"
    )
    kubeconfig_output: str = Field(
        default="kubeconfig", description="its output with the kubeconfig, a secret", min_length=1
    )
    namespace: DnsLabel = Field(default="default", description="of every object of the service")
    create_namespace: bool = Field(default=False, description="make it, and remove it with the service")
    num_replicas: PositiveInt = Field(default=1, description="pods of Triton")
    cpu_cores_limit: PositiveFloat | None = Field(default=None, description="by default deployment.cpuCores")
    memory_gb_limit: PositiveFloat | None = Field(default=None, description="by default deployment.memoryGb")
    scorer_share: float = Field(default=0.25, gt=0, lt=1, description="of CPU and memory, beside a Triton")
    shm_mb: PositiveInt | None = Field(default=None, description="of /dev/shm; by default a quarter of Triton's memory")

    pool: str | None = Field(
        default=None, description="the node pool's name, where it is not the preset's", min_length=1
    )
    accelerator: str | None = Field(default=None, description="one kind of GPU, by the preset's label", min_length=1)
    node_selector: dict[str, str] | None = Field(default=None, description="in place of the preset's")
    tolerations: list[Toleration] | None = Field(default=None, description="in place of the preset's")
    gpu_resource: ExtendedResource = Field(default="nvidia.com/gpu", description="MIG: nvidia.com/mig-1g.10gb")
    spare_gpus: NonNegativeInt | None = Field(default=None, description="free for a rollout; by default the preset's")
    provision_seconds: PositiveInt | None = Field(
        default=None, description="for a node to appear and pull the image; by default the preset's"
    )
    dns_ttl_seconds: NonNegativeInt = Field(default=30, description="how old an answer of the cluster's DNS may be")
    priority_class_name: DnsName | None = Field(default=None, description="of Triton's pods")
    runtime_class_name: DnsName | None = Field(default=None, description="of Triton's pods")

    models_from: Literal["image", "registry"] = Field(
        default="image", description="registry: Triton reads s3://, gs:// or as:// itself"
    )
    download_gb: PositiveInt = Field(default=20, description="for models that Triton downloads")
    credentials_secret: DnsName | None = Field(
        default=None, description="a Secret whose entries the containers get as variables and in /etc/credentials"
    )
    service_account_annotations: dict[str, str] = Field(default={}, description="for workload identity")
    pod_labels: dict[str, str] = Field(default={}, description="of Triton's pods, for workload identity")
    image_pull_secrets: list[DnsName] = Field(default=[], description="Secrets with the registry's password")

    front_door: FrontDoor = Field(default=FrontDoor(), description="Envoy's pods")
    exposure: Exposure = Field(default=Exposure(), description="how clients outside the cluster reach the front door")
    autoscale: Autoscale | None = Field(default=None, description="replicas by load, in place of numReplicas")
    monitoring: Monitoring = Field(default=Monitoring(), description="what Prometheus and Grafana get")

    @property
    def serving_replicas(self) -> int:
        """Count the replicas that serve: the fewest where an autoscaler decides, and one where it may be none."""
        return self.num_replicas if self.autoscale is None else max(1, self.autoscale.min_replicas)

    def candidate_replicas(self, percent: int) -> int:
        """Count the replicas that answer a share of the traffic as well as those that serve answer all of it."""
        return max(1, math.ceil(self.serving_replicas * percent / 100))

    @property
    def kubeconfig_source(self) -> str:
        """Say where the kubeconfig of another stack is from."""
        return f"the output '{self.kubeconfig_output}' of the stack {self.cluster_stack} (nodePool.clusterStack)"
