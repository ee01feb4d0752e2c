"""A Triton service on the cluster of another stack: this program knows nothing of Azure."""

import pulumi
from pulumi_triton import ModelBundle, TritonEnvironment, TritonService

infra_stack = pulumi.Config().require("infraStack")
infra = pulumi.StackReference(infra_stack)

model = ModelBundle(
    "triton_model",
    path="../../../../model_repository",
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
    source_directory="../../../scripts",
    deployment={
        "target": "node-pool",
        "compute_target_name": "aks-gpu",
        "gpu_cores": 1,
        "cpu_cores": 1,
        "memory_gb": 4,
        "auth_enabled": True,
    },
    image={"repository": infra.require_output("imageRepository")},
    node_pool={
        "namespace": "triton-serving",
        "create_namespace": True,
        "spare_gpus": infra.require_output("spareGpus"),
        "cluster_stack": infra_stack,  # its output kubeconfig is the way to the cluster
    },
)

pulumi.export("scoringUri", service.scoring_uri)
pulumi.export("tritonUri", service.triton_uri)
pulumi.export("primaryKey", service.primary_key)
pulumi.export("state", service.state)
pulumi.export("modelId", service.model_id)
pulumi.export("portForward", service.port_forward)
