"""A Triton service: which models it has, what serves them, where it runs, and how clients reach it."""

import pulumi
from pulumi_triton import ModelBundle, TritonEnvironment, TritonService

config = pulumi.Config()
target = config.require("target")

# Your model: put it at models/triton/<model>/<version>/model.onnx. A changed folder becomes the next version.
model = ModelBundle(
    "wine",
    path="models",
    tags={"area": "examples"},
    description="From which grape a wine was made, by 13 measurements.",
)

# What serves: Azure's curated environment, with what your entry script imports as pip_packages.
environment = TritonEnvironment("my-triton", clone="AzureML-Triton", pip_packages=[], variables={"WORKER_COUNT": "1"})

deployment = {"target": target, "cpu_cores": 1, "memory_gb": 2, "auth_enabled": True}
if target != "node-pool":
    deployment["port"] = config.require_int("port")
else:
    # docs/node-pools.md of the components' repository says what a node pool and its image need.
    deployment |= {"compute_target_name": "aks-gpu", "gpu_cores": 1}

service = TritonService(
    config.require("serviceName"),
    models=[model],
    environment=environment,
    entry_script="score.py",
    source_directory="scripts",
    deployment=deployment,
    # Nodes pull the service's image from there: pulumi config set imageRepository registry.example.com/team/triton
    image={"repository": config.require("imageRepository")} if target == "node-pool" else None,
)

pulumi.export("scoringUri", service.scoring_uri)
pulumi.export("tritonUri", service.triton_uri)
pulumi.export("state", service.state)
pulumi.export("modelId", service.model_id)
pulumi.export("primaryKey", service.primary_key)
