"""A Triton service, declared by the package's components."""

import pulumi
from pulumi_triton import ModelBundle, TritonEnvironment, TritonService

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
    "triton-python",
    models=[model],
    environment=environment,
    entry_script="score_bidaf.py",
    source_directory="../../scripts",
    deployment={"target": "process", "cpu_cores": 1, "memory_gb": 4, "auth_enabled": True, "port": 6791},
)

pulumi.export("scoringUri", service.scoring_uri)
pulumi.export("primaryKey", service.primary_key)
pulumi.export("modelId", model.model_id)
