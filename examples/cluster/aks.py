"""GpuCluster: a cluster of AKS with a pool of GPUs, and the registry that its nodes pull from.

ResourceGroup ─┬─► Registry ◄── RoleAssignment: the nodes may pull, and nothing else
               └─► ManagedCluster ─┬─► AgentPool gpu ──► Release: NVIDIA's device plugin
                                   └─► kubeconfig
"""

import base64
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi_azure_native import authorization, containerregistry, containerservice, resources

__all__ = ["GpuCluster", "GpuClusterArgs"]

# What the preset aks-gpu of the service (`deployment.computeTargetName`) looks for. AKS itself gives each node the
# label agentpool=<name of its pool>.
POOL = "gpu"
TAINT = {"key": "sku", "value": "gpu", "effect": "NoSchedule"}

# The chart of the device plugin puts its pods on nodes with this label.
PLUGIN_LABEL = {"nvidia.com/gpu.present": "true"}
PLUGIN_VERSION = "0.18.0"

ACR_PULL = (
    "7f951dda-4ed3-4680-a7ca-43fe172d538d"  # the built-in role AcrPull, by the id that it has in each subscription
)


@dataclass(frozen=True, kw_only=True)
class GpuClusterArgs:
    """The sizes of machines, and how many of each.

    Attributes:
        gpu_vm_size: Of the nodes with GPUs.
        gpu_nodes: One more than the service has replicas lets a new version start beside the old one.
        system_vm_size: Of the nodes for Kubernetes itself and for the front doors.
        system_nodes: Two of them keep a front door when one is drained.
    """

    gpu_vm_size: str = "Standard_NC4as_T4_v3"
    gpu_nodes: int = 1
    system_vm_size: str = "Standard_D2s_v5"
    system_nodes: int = 2

    @property
    def spare_gpus(self) -> int:
        """How many GPUs a service with one replica leaves to a rollout, with one GPU a node."""
        return max(self.gpu_nodes - 1, 0)

    @classmethod
    def of(cls, config: pulumi.Config) -> "GpuClusterArgs":
        """The arguments that a stack's settings give: `gpuVmSize`, `gpuNodes`, `systemVmSize`, `systemNodes`."""
        return cls(
            gpu_vm_size=config.get("gpuVmSize", cls.gpu_vm_size),
            gpu_nodes=config.get_int("gpuNodes", cls.gpu_nodes),
            system_vm_size=config.get("systemVmSize", cls.system_vm_size),
            system_nodes=config.get_int("systemNodes", cls.system_nodes),
        )


class GpuCluster(pulumi.ComponentResource):
    """An AKS cluster that serves on GPUs.

    Attributes:
        kubeconfig: A secret: it opens the whole cluster.
        registry: The registry's name, as `az acr login` takes it.
        login_server: The registry's host, with which the names of its images begin.
    """

    kubeconfig: pulumi.Output[str]
    registry: pulumi.Output[str]
    login_server: pulumi.Output[str]

    def __init__(self, name: str, args: GpuClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("examples:cluster:GpuCluster", name, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        group = resources.ResourceGroup(f"{name}-group", opts=self._child)
        # Azure takes letters and digits alone, and Pulumi adds some of its own: the name is one of all Azure's.
        registry = containerregistry.Registry(
            f"{name}registry",
            resource_group_name=group.name,
            sku=containerregistry.SkuArgs(name=containerregistry.SkuName.STANDARD),
            admin_user_enabled=False,
            opts=self._child,
        )
        cluster = self._cluster(name, args, group)
        pool = self._gpu_pool(name, args, group, cluster)
        self._let_pull(name, cluster, registry)
        self.kubeconfig = _kubeconfig(group, cluster)
        self._offer_gpus(name, pool)
        self.registry, self.login_server = registry.name, registry.login_server
        self.register_outputs(
            {"kubeconfig": self.kubeconfig, "registry": self.registry, "loginServer": self.login_server}
        )

    def _cluster(
        self, name: str, args: GpuClusterArgs, group: resources.ResourceGroup
    ) -> containerservice.ManagedCluster:
        system = containerservice.ManagedClusterAgentPoolProfileArgs(
            name="system",
            mode=containerservice.AgentPoolMode.SYSTEM,
            type=containerservice.AgentPoolType.VIRTUAL_MACHINE_SCALE_SETS,
            os_type=containerservice.OSType.LINUX,
            vm_size=args.system_vm_size,
            count=args.system_nodes,
        )
        return containerservice.ManagedCluster(
            f"{name}-cluster",
            resource_group_name=group.name,
            dns_prefix=name,
            identity=containerservice.ManagedClusterIdentityArgs(
                type=containerservice.ResourceIdentityType.SYSTEM_ASSIGNED
            ),
            agent_pool_profiles=[system],
            # Cilium enforces the network policies of the service.
            network_profile=containerservice.ContainerServiceNetworkProfileArgs(
                network_plugin=containerservice.NetworkPlugin.AZURE,
                network_plugin_mode=containerservice.NetworkPluginMode.OVERLAY,
                network_dataplane=containerservice.NetworkDataplane.CILIUM,
                network_policy=containerservice.NetworkPolicy.CILIUM,
            ),
            opts=self._child,
        )

    def _gpu_pool(
        self,
        name: str,
        args: GpuClusterArgs,
        group: resources.ResourceGroup,
        cluster: containerservice.ManagedCluster,
    ) -> containerservice.AgentPool:
        # A resource of its own: Azure neither adds nor removes pools by the cluster's own list, and a changed number of
        # GPUs touches no other pool.
        return containerservice.AgentPool(
            f"{name}-{POOL}",
            agent_pool_name=POOL,
            resource_group_name=group.name,
            resource_name_=cluster.name,
            mode=containerservice.AgentPoolMode.USER,
            type=containerservice.AgentPoolType.VIRTUAL_MACHINE_SCALE_SETS,
            os_type=containerservice.OSType.LINUX,
            vm_size=args.gpu_vm_size,
            count=args.gpu_nodes,
            node_taints=[f"{TAINT['key']}={TAINT['value']}:{TAINT['effect']}"],
            node_labels=PLUGIN_LABEL,
            # Azure changes no machines of a pool for others, and the pool's name is taken until it is gone.
            opts=pulumi.ResourceOptions(parent=self, replace_on_changes=["vmSize"], delete_before_replace=True),
        )

    def _let_pull(
        self, name: str, cluster: containerservice.ManagedCluster, registry: containerregistry.Registry
    ) -> None:
        nodes = cluster.identity_profile.apply(lambda found: (found or {})["kubeletidentity"].object_id)
        subscription = authorization.get_client_config_output(
            opts=pulumi.InvokeOutputOptions(parent=self)
        ).subscription_id
        authorization.RoleAssignment(
            f"{name}-pull",
            scope=registry.id,
            principal_id=nodes,
            principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
            role_definition_id=pulumi.Output.concat(
                "/subscriptions/", subscription, "/providers/Microsoft.Authorization/roleDefinitions/", ACR_PULL
            ),
            opts=self._child,
        )

    def _offer_gpus(self, name: str, pool: containerservice.AgentPool) -> None:
        """Install NVIDIA's device plugin, which tells Kubernetes of the GPUs. AKS installs the driver."""
        provider = k8s.Provider(f"{name}-kubernetes", kubeconfig=self.kubeconfig, opts=self._child)
        k8s.helm.v3.Release(
            f"{name}-device-plugin",
            chart="nvidia-device-plugin",
            version=PLUGIN_VERSION,
            repository_opts=k8s.helm.v3.RepositoryOptsArgs(repo="https://nvidia.github.io/k8s-device-plugin"),
            namespace="nvidia",
            create_namespace=True,
            values={"tolerations": [{**TAINT, "operator": "Equal"}]},
            opts=pulumi.ResourceOptions(parent=self, provider=provider, depends_on=[pool]),
        )


def _kubeconfig(group: resources.ResourceGroup, cluster: containerservice.ManagedCluster) -> pulumi.Output[str]:
    """Ask Azure for the cluster's kubeconfig: with the certificates of the cluster's local account, and no login."""
    found = containerservice.list_managed_cluster_user_credentials_output(
        resource_group_name=group.name,
        resource_name=cluster.name,
        opts=pulumi.InvokeOutputOptions(parent=cluster, depends_on=[cluster]),
    )
    return pulumi.Output.secret(found.kubeconfigs.apply(lambda configs: base64.b64decode(configs[0].value).decode()))
