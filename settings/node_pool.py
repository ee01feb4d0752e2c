"""The settings of target `node-pool`: what a Kubernetes cluster has to know beyond `deployment`.

Names are Azure's where its `AksWebservice.deploy_configuration` had one (`numReplicas`, `cpuCoresLimit`,
`memoryGbLimit`, `minReplicas`, `maxReplicas`, `targetUtilization`, `namespace`).
"""

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

    key: str = Field(min_length=1)
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class FrontDoor(Group):
    """Envoy's pods. The image holds `envoy` and `bash`, as Envoy's own images (not the distroless ones) do."""

    image: str = Field(default="docker.io/envoyproxy/envoy:v1.40.0", min_length=1)
    num_replicas: PositiveInt = 2
    cpu_cores: PositiveFloat = 0.5
    memory_mb: PositiveInt = 512
    on_pool: bool = Field(default=False, description="run on the GPU pool too, for clusters that have no other nodes")


class ParentGateway(Group):
    """The Gateway (Gateway API) that a route attaches to."""

    name: DnsName
    namespace: DnsLabel | None = None
    section_name: str | None = Field(default=None, description="one listener of it")


class Exposure(Group):
    """How clients outside the cluster reach the front door."""

    kind: Literal["cluster", "loadBalancer", "ingress", "gateway"] = "cluster"
    host: DnsName | None = None
    annotations: dict[str, str] = Field(default={}, description="of the Service, Ingress or HTTPRoute")
    internal: bool = Field(default=False, description="the load balancer's address is a private one")
    source_ranges: list[str] = Field(default=[], description="CIDRs that the load balancer lets in")
    class_name: DnsName | None = Field(default=None, description="of the Ingress")
    tls_secret: DnsName | None = Field(default=None, description="the Secret with the Ingress's certificate")
    gateway: ParentGateway | None = None


class Autoscale(Group):
    """Replicas by load: Triton's queue time per request or CPU, by Kubernetes itself or by KEDA."""

    min_replicas: NonNegativeInt = 1
    max_replicas: PositiveInt = 10
    by: Literal["queueTime", "cpu"] = "queueTime"
    target_queue_ms: PositiveFloat = 50
    target_utilization: int = Field(default=70, ge=1, le=100, description="per cent of the CPU requested")
    keda: bool = False
    prometheus: str | None = Field(default=None, description="Prometheus's address as KEDA reaches it", min_length=1)


class Monitoring(Group):
    """What Prometheus and Grafana get, for clusters that run their operators."""

    namespace: DnsLabel = Field(default="monitoring", description="whose pods may read metrics")
    scrape: Literal["podMonitor", "serviceMonitor"] | None = None
    alerts: bool = False
    dashboard: bool = False
    labels: dict[str, str] = Field(default={}, description="by which the operator finds its objects")


class NodePoolSettings(Group):
    """Where in the cluster the service runs and how; everything has a default or comes from the preset."""

    context: str | None = Field(default=None, description="of the kubeconfig; by default its current one", min_length=1)
    namespace: DnsLabel = "default"
    create_namespace: bool = False
    num_replicas: PositiveInt = 1
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
    priority_class_name: DnsName | None = None
    runtime_class_name: DnsName | None = None

    models_from: Literal["image", "registry"] = Field(
        default="image", description="registry: Triton reads s3://, gs:// or as:// itself"
    )
    download_gb: PositiveInt = Field(default=20, description="for models that Triton downloads")
    credentials_secret: DnsName | None = Field(
        default=None, description="a Secret whose entries the containers get as variables and in /etc/credentials"
    )
    service_account_annotations: dict[str, str] = Field(default={}, description="for workload identity")
    pod_labels: dict[str, str] = Field(default={}, description="of Triton's pods, for workload identity")
    image_pull_secrets: list[DnsName] = []

    front_door: FrontDoor = FrontDoor()
    exposure: Exposure = Exposure()
    autoscale: Autoscale | None = None
    monitoring: Monitoring = Monitoring()
