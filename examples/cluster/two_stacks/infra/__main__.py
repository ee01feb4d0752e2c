"""An AKS cluster with GPUs and a registry: what a platform team has, and the outputs that services of others need."""

import sys
from pathlib import Path

import pulumi

sys.path.append(str(Path(__file__).resolve().parents[2]))  # aks.py, which the one program has too
from aks import GpuCluster, GpuClusterArgs

settings = GpuClusterArgs.of(pulumi.Config())
cluster = GpuCluster("triton", settings)

pulumi.export("kubeconfig", cluster.kubeconfig)
pulumi.export("imageRepository", pulumi.Output.concat(cluster.login_server, "/triton-webservice"))
pulumi.export("registry", cluster.registry)
pulumi.export("spareGpus", settings.spare_gpus)
