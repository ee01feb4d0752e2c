"""NodePoolDeployment: the service's replicas on a Kubernetes node pool."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import pulumi

from bundle.registry import Registry
from bundle.triton_storage import repository_url
from components.access_keys import AccessKeys
from components.bundle_outputs import BundleOutputs
from components.cluster_stack import cluster_kubeconfig, kubeconfig_text
from components.deployment import Deployment, FrontDoor
from components.node_pool_canary import declare_canary, kept_beside_a_candidate, marked
from components.node_pool_front_door import Replicas, declare_front_door
from components.node_pool_objects import ObjectSet, cluster_provider, digest, given_provider
from components.service_image import ServiceImage, ServiceImageArgs
from components.service_secrets import Secrets
from components.stack_settings import stack_name
from components.summaries import EnvironmentSummary
from environment.image_layout import repository
from provider.resources.node_pool_canary import NodePoolCanary
from provider.resources.node_pool_check import NodePoolCheck
from provider.resources.node_pool_cluster import NodePoolCluster
from provider.resources.node_pool_pods import NodePoolPods
from provider.resources.node_pool_rollout import NodePoolRollout
from settings.certificate_file import server_name
from settings.schema import Framework, Model, RegisteredModelId, Settings
from targets.errors import ServiceError
from targets.node_pool.addresses import logs_command
from targets.node_pool.cluster.cluster_client import Cluster, ClusterError
from targets.node_pool.cluster.kubeconfig import Kubeconfig
from targets.node_pool.cluster.owners import check_owner
from targets.node_pool.lifecycle import Times
from targets.node_pool.needs import Needs
from targets.node_pool.object_names import FRONT_DOOR_PORT, REPLICA, Names
from targets.node_pool.objects.every_object import objects_of
from targets.node_pool.objects.exposure import scheme
from targets.node_pool.objects.image_pull import docker_configuration
from targets.node_pool.objects.strategy import lacks_spare_gpus
from targets.node_pool.objects.workload import deployment
from targets.node_pool.rendering import Contents, Options
from targets.role import Role
from targets.state import overall

__all__ = ["NodePoolDeployment", "NodePoolDeploymentArgs"]

_DELETION_SECONDS = 60  # for Kubernetes to get round to it, beyond a pod's own grace period


@dataclass(frozen=True)
class NodePoolDeploymentArgs:
    """A service's settings, its bundles in the settings' order, its image by digest, its environment and secrets.

    Attributes:
        kubeconfig: The text of the cluster's kubeconfig, a secret that may be known only at `up`. Without one the
            cluster is the one of this machine's kubeconfig.
    """

    settings: Settings
    _: KW_ONLY
    bundles: Sequence[BundleOutputs]
    image: pulumi.Input[str]
    environment: pulumi.Input[EnvironmentSummary] | None = None
    lock_files: pulumi.Input[Sequence[str]] = ()
    secrets: Secrets = field(default_factory=Secrets)
    kubeconfig: pulumi.Input[str] | None = None


class NodePoolDeployment(Deployment):
    """The replicas, what they run under and what guards them, and their rollout behind the probe.

    An update that fails leaves the replicas serving that were there, or starts them again where they had to stop for
    the new ones, and says why those did not become ready.

    Attributes:
        options: What is rendered.
        provider: Makes the objects: a Kubernetes provider among the options, or one of the component's own.
        cluster: The cluster's identity.
        canary: Who has the traffic before the replicas change.
        where: The place of the service, as the provider's resources take it.
        logs: The command that shows the replicas' logs.

    Raises:
        ServiceError: Before anything is declared, where a registered bundle for the entry script stays in its object
            store, or a Kubernetes provider is given without a kubeconfig.
    """

    options: Options
    provider: pulumi.ProviderResource
    cluster: pulumi.Output[dict[str, str]]
    canary: NodePoolCanary
    where: dict[str, Any]
    logs: str

    def __init__(self, name: str, args: NodePoolDeploymentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings = args.settings
        models = zip(settings.models, args.bundles, strict=True)
        served = [bundle for model, bundle in models if _by_triton(settings, model)]
        given = given_provider(opts)
        if given is not None and args.kubeconfig is None:
            raise ServiceError(
                f"{name} gets a Kubernetes provider and no kubeconfig: the provider makes objects, but nobody could "
                "wait for them or check the service; expected the kubeconfig of the same cluster too (the argument "
                "kubeconfig, or nodePool.clusterStack)"
            )
        super().__init__("triton:index:NodePoolDeployment", name, None, opts)
        self.options = Options(
            settings=settings,
            triton=bool(served),
            scorer=settings.entry_script is not None,
            owner=stack_name(),
            contents=Contents(
                image=args.image,
                repositories=tuple(_repository(settings, bundle) for bundle in served),
                image_pull=_image_pull(settings, args.secrets),
            ),
        )
        if pulumi.runtime.is_dry_run() and lacks_spare_gpus(self.options):
            pulumi.log.warn(
                "no GPU is spare for a rollout (nodePool.spareGpus), so the replica stops before its successor starts: "
                "nobody serves meanwhile, and the old version starts again where the new one fails",
                self,
            )
        self._reach(name, args, given)
        self.generation = digest(deployment(self.options, REPLICA)["spec"]["template"])
        self.canary, rollout = self._declare(name)
        self.behind = pulumi.Output.all(self.canary.serving, self.generation).apply(
            lambda found: found[0] not in ("", found[1])
        )
        self.state = pulumi.Output.all(rollout.state, self.canary.state).apply(lambda found: overall(*found))
        self.logs = logs_command(Names.of(self.options), self.options.pool)
        named = EnvironmentSummary(name=settings.environment.name)
        self.environment = pulumi.Output.from_input(named if args.environment is None else args.environment)
        self.lock_files = args.lock_files
        self.pushed_image = args.image
        self.outputs = {"cluster": self.cluster, "logs": self.logs}
        roles = Role.serving(triton=self.options.triton, scorer=self.options.scorer)
        self.shape = pulumi.Output.from_input([role.value for role in roles])
        self.register_outputs({"state": self.state, "generation": self.generation})

    @classmethod
    def check(cls, name: str, settings: Settings) -> str:
        if settings.node_pool.cluster_stack is not None:
            return ""  # `NodePoolCluster` checks the same as soon as the other stack was read
        names = Names(settings.service_name, settings.node_pool.namespace)
        try:
            cluster = Cluster(settings.node_pool.context or "")
            check_owner(cluster, names, stack_name(), overwrite=settings.deployment.overwrite)
        except ClusterError:
            if not pulumi.runtime.is_dry_run():  # a preview needs no cluster: `up` tells of one that does not answer
                raise
        return ""

    @classmethod
    def of(
        cls,
        name: str,
        settings: Settings,
        bundles: Sequence[BundleOutputs],
        secrets: Secrets,
        opts: pulumi.ResourceOptions,
    ) -> "NodePoolDeployment":
        name = f"{cls.prefix(name, settings)}-deployment"
        given = secrets.output("kubeconfig")
        kubeconfig = cluster_kubeconfig(name, settings, opts) if given is None else kubeconfig_text(given)
        image = ServiceImage(f"{name}-image", ServiceImageArgs.of(settings, bundles, secrets), opts)
        args = NodePoolDeploymentArgs(
            settings,
            bundles=bundles,
            image=image.reference,
            environment=image.environment,
            lock_files=image.lock_files,
            secrets=secrets,
            kubeconfig=kubeconfig,
        )
        return cls(name, args, opts)

    def front_door(self, name: str, keys: AccessKeys, gateway: pulumi.Resource) -> FrontDoor:
        behind = Replicas(deployment=self, options=self.options, provider=self.provider, where=self.where)
        return declare_front_door(name, behind, keys, gateway)

    def smoke_check(
        self, name: str, questions: Mapping[str, Any], door: FrontDoor, opts: pulumi.ResourceOptions
    ) -> pulumi.Output[int]:
        options, settings = self.options, self.options.settings
        host = settings.node_pool.exposure.host if settings.tls is not None else None
        inputs = {
            **questions,
            **self.where,
            "service": Names.of(options).service,
            "container_port": FRONT_DOOR_PORT,
            "scheme": scheme(options),
            "address": door.own_address if options.pool.exposure.reached_by_address else "",
            "sleeps": options.sleeps,
            "server_name": host or server_name(settings),
            "patience_seconds": Times.of(options).progress,
            "generation": self.generation,
            # What is behind the front door: another generation is another reason to ask.
            "serving": self.canary.serving,
        }
        return NodePoolCheck(name, inputs, opts).checks

    def _reach(self, name: str, args: NodePoolDeploymentArgs, given: pulumi.ProviderResource | None) -> None:
        """Declare the way to the cluster: its identity, and who makes the objects there."""
        settings = args.settings
        pool, setting = settings.node_pool, settings.node_pool.context or ""
        access: dict[str, Any] = {"context": setting}
        identified: dict[str, Any] = {}
        for_objects = None
        if args.kubeconfig is None:
            context = _context_name(settings)
        else:
            context = None
            kubeconfig = kubeconfig_text(args.kubeconfig)
            for_objects = kubeconfig.apply(lambda text: Kubeconfig(text).for_objects(setting))
            source = pool.kubeconfig_source if pool.cluster_stack is not None else f"the kubeconfig of {name}"
            access |= {"kubeconfig": kubeconfig, "source": source}
            if not settings.deployment.overwrite:
                names = {"namespace": pool.namespace, "service": settings.service_name, "owner": self.options.owner}
                identified = {"claim": names}
        cluster = NodePoolCluster(
            f"{name}-cluster-identity",
            {**access, **identified, "name": context or setting},
            pulumi.ResourceOptions(parent=self),
        )
        self.cluster = cluster.identity
        self.where = {
            **access,
            "cluster": cluster.identity,
            "namespace": pool.namespace,
            "owner": self.options.owner,
        }
        self.provider = given or cluster_provider(f"{name}-cluster", settings, cluster, context, for_objects, self)

    def _declare(self, name: str) -> tuple[NodePoolCanary, NodePoolRollout]:
        declared = ObjectSet(name, self.options, self.provider, self)
        names, times = Names.of(self.options), Times.of(self.options)
        grace = times.grace + _DELETION_SECONDS
        pods = NodePoolPods(
            f"{name}-pods",
            {
                **self.where,
                "service": names.service,
                "labels": names.selector(REPLICA),
                "grace_seconds": grace,
            },
            pulumi.ResourceOptions(parent=self),
        )
        made: list[pulumi.Resource] = [pods]
        guards: list[pulumi.Resource] = [pods]
        kept = kept_beside_a_candidate(self.options)
        for manifest in objects_of(REPLICA, self.options):
            if manifest["kind"] == "Deployment":
                opts = pulumi.ResourceOptions(parent=self, depends_on=made)
                canary = declare_canary(name, self.options, self.where, self.generation, grace, opts)
                guards, generation = [*guards, canary], digest(manifest)
                resource = declared.declare(marked(manifest, self.generation), depends_on=guards, ignore_changes=kept)
            else:
                resource = declared.declare(manifest, depends_on=guards)
            if manifest["kind"] in ("Namespace", "ServiceAccount"):
                # They fail where the service's names are another's: then nothing else has been touched.
                guards = [*guards, resource]
            made.append(resource)
        inputs: dict[str, Any] = {
            **self.where,
            "deployment": names.service,
            "generation": generation,
            "provision_seconds": times.provision,
            "startup_seconds": times.startup,
            "grace_seconds": grace,
            "needs": Needs.of(REPLICA, self.options.settings).model_dump(),
        }
        ignored = ["generation"] if kept else []
        opts = pulumi.ResourceOptions(parent=self, depends_on=made, ignore_changes=ignored)
        return canary, NodePoolRollout(f"{name}-rollout", inputs, opts)


def _image_pull(settings: Settings, secrets: Secrets) -> pulumi.Output[str]:
    """Give Docker's configuration with the password of the image's registry; "" without one."""
    password = secrets.output("image_password")
    if password is None:
        return pulumi.Output.secret("")
    return password.apply(lambda known: docker_configuration(settings, known))


def _context_name(settings: Settings) -> str | None:
    """The context that is meant, by name; None where there is no kubeconfig, as at a preview without a cluster."""
    if settings.node_pool.context:
        return settings.node_pool.context
    try:
        return Cluster().context_name or None
    except ClusterError:
        return None


def _by_triton(settings: Settings, model: Model | RegisteredModelId) -> bool:
    if isinstance(model, Model):
        return model.framework is Framework.MULTI
    registered = Registry(settings.registry).get(model.name, model.version)
    by_triton = registered.framework == Framework.MULTI.value
    if not by_triton and settings.node_pool.models_from == "registry":
        raise ServiceError(
            f"model {model.name}:{model.version} is of framework {registered.framework}: the entry script finds it in "
            "the image alone; expected nodePool.modelsFrom 'image'"
        )
    return by_triton


def _repository(settings: Settings, bundle: BundleOutputs) -> pulumi.Output[str]:
    """Where Triton finds a bundle: in the image, or in the registry's object store."""
    if settings.node_pool.models_from == "image":
        return pulumi.Output.all(bundle.name, bundle.version).apply(lambda found: repository(found[0], int(found[1])))
    registry = Registry(settings.registry)

    def of(found: Sequence[Any]) -> str:
        name, version = found[0], int(found[1])
        return repository_url(settings.registry, name, registry.get(name, version).manifest.content)

    return pulumi.Output.all(bundle.name, bundle.version).apply(of)
