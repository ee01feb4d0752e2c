"""An AKS cluster with GPUs, and a Triton service on it: one program, one `pulumi up`."""

import subprocess
import sys
from pathlib import Path

import pulumi
from pulumi_triton import ModelBundle, TritonEnvironment, TritonService

sys.path.append(str(Path(__file__).resolve().parents[1]))  # aks.py, which the two stacks have too
from aks import GpuCluster, GpuClusterArgs


def repository_in(registry: str, login_server: str) -> str:
    """Name the repository of the service's images, once this machine's Docker may push to it.

    `up` makes the registry and pushes to it, so nobody can log in before. Docker keeps the login, Pulumi does not.

    Raises:
        RunError: Docker is not logged in.
    """
    if not pulumi.runtime.is_dry_run():
        command = ["az", "acr", "login", "--name", registry]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise pulumi.RunError("az is not on PATH: expected Azure's CLI, to log Docker in to the registry") from None
        if done.returncode:
            raise pulumi.RunError(f"{' '.join(command)}: {done.stderr.strip()}")
    return f"{login_server}/triton-webservice"


settings = GpuClusterArgs.of(pulumi.Config())
cluster = GpuCluster("triton", settings)

model = ModelBundle(
    "triton_model",
    path="../../../model_repository",
    tags={"area": "examples"},
    description="Handwritten digits, question answering and wine cultivars",
)
environment = TritonEnvironment(
    "My-Triton", clone="AzureML-Triton", pip_packages=["nltk"], variables={"WORKER_COUNT": "1"}
)
service = TritonService(
    "triton-webservice",
    models=[model],
    environment=environment,
    entry_script="score_bidaf.py",
    source_directory="../../scripts",
    deployment={
        "target": "node-pool",
        "compute_target_name": "aks-gpu",
        "gpu_cores": 1,
        "cpu_cores": 1,
        "memory_gb": 4,
        "auth_enabled": True,
    },
    image={
        "repository": pulumi.Output.all(cluster.registry, cluster.login_server).apply(
            lambda found: repository_in(*found)
        )
    },
    node_pool={"namespace": "triton-serving", "create_namespace": True, "spare_gpus": settings.spare_gpus},
    kubeconfig=cluster.kubeconfig,
    # Its pods need more of the cluster than the kubeconfig: the GPUs, the device plugin, the right to pull.
    opts=pulumi.ResourceOptions(depends_on=[cluster]),
)

pulumi.export("scoringUri", service.scoring_uri)
pulumi.export("tritonUri", service.triton_uri)
pulumi.export("primaryKey", service.primary_key)
pulumi.export("state", service.state)
pulumi.export("modelId", service.model_id)
pulumi.export("portForward", service.port_forward)
pulumi.export("kubeconfig", cluster.kubeconfig)
