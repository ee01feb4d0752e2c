"""The cluster is one that the service fits on: its marks, its rights and its secrets."""

import pytest
import yaml
from conftest import KUBECONFIG, REPOSITORY, Login, Run

BOTH = pytest.mark.parametrize("program", ["one_program", "two_stacks/infra"])


@BOTH
def test_the_gpu_pool_has_the_marks_that_the_preset_looks_for(program: str, run: Run, login: Login) -> None:
    preset = yaml.safe_load((REPOSITORY / "settings" / "compute_targets.yaml").read_text())["aks-gpu"]
    pool = run(program).of("AgentPool").inputs
    assert preset["poolLabel"] == "agentpool"  # AKS puts it on each node, with the pool's name
    assert pool["agentPoolName"] == preset["pool"]
    (tolerated,) = preset["tolerations"]
    assert pool["nodeTaints"] == ["{key}={value}:{effect}".format(**tolerated)]
    assert pool["mode"] == "User"


@BOTH
def test_the_device_plugin_runs_on_the_gpu_pool_once_it_is_there(program: str, run: Run, login: Login) -> None:
    ran = run(program)
    (taint,) = ran.of("AgentPool").inputs["nodeTaints"]
    plugin = ran.resources["triton-device-plugin"]
    (tolerated,) = plugin.inputs["values"]["tolerations"]
    assert taint == "{key}={value}:{effect}".format(**tolerated)
    assert ran.of("AgentPool").inputs["nodeLabels"] == {"nvidia.com/gpu.present": "true"}
    assert "triton-gpu" in plugin.depends_on


@BOTH
def test_the_nodes_may_pull_from_the_registry_and_nothing_else(program: str, run: Run, login: Login) -> None:
    ran = run(program)
    right = ran.of("RoleAssignment").inputs
    assert right["principalId"] == "nodes-object"
    assert right["principalType"] == "ServicePrincipal"
    assert right["scope"] == "tritonregistry-id"
    assert right["roleDefinitionId"] == (
        "/subscriptions/s-1/providers/Microsoft.Authorization/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d"
    )
    assert ran.of("Registry").inputs["adminUserEnabled"] is False


@BOTH
def test_the_kubeconfig_is_a_secret_wherever_it_goes(program: str, run: Run, login: Login) -> None:
    ran = run(program)
    assert ran.exports["kubeconfig"] == KUBECONFIG
    assert "kubeconfig" in ran.secret
    told = [name for name, resource in ran.resources.items() if KUBECONFIG in resource.inputs.values()]
    assert told
    assert all("kubeconfig" in ran.resources[name].secrets for name in told)


@BOTH
def test_the_cluster_enforces_network_policies(program: str, run: Run, login: Login) -> None:
    network = run(program).of("ManagedCluster").inputs["networkProfile"]
    assert (network["networkDataplane"], network["networkPolicy"]) == ("cilium", "cilium")


@BOTH
def test_a_stack_s_settings_choose_the_machines(program: str, run: Run, login: Login) -> None:
    ran = run(program, gpuVmSize="Standard_NC8as_T4_v3", gpuNodes="3", systemVmSize="Standard_D4s_v5", systemNodes="1")
    pool = ran.of("AgentPool").inputs
    (system,) = ran.of("ManagedCluster").inputs["agentPoolProfiles"]
    assert (pool["vmSize"], pool["count"]) == ("Standard_NC8as_T4_v3", 3)
    assert (system["vmSize"], system["count"]) == ("Standard_D4s_v5", 1)
