"""The paths and ports in the images, on which every target with containers relies.

The service image starts as user `USER`, writes to `/tmp` alone, and has `tritonserver` and `python` on its PATH.
"""

__all__ = ["MODELS", "PROBE_SCORER", "PROBE_TRITON", "SERVICE", "SOURCE", "USER", "repository"]

USER = 1000  # as in NVIDIA's images

# The environment: a virtual environment over the base image's Python, and the package `serving`.
ENVIRONMENT = "/opt/environment"
SERVING = "/opt/serving"

# The service: registered bundles as `<name>/<version>/...`, the script's source directory, what the probe asks.
SERVICE = "/opt/service"
MODELS = f"{SERVICE}/models"
SOURCE = f"{SERVICE}/source"
PROBE_TRITON = f"{SERVICE}/probe/triton.json"
PROBE_SCORER = f"{SERVICE}/probe/scorer.json"

# Ports inside a container or a pod, Triton's own defaults, Azure's for the scorer, and the recorder's.
TRITON_HTTP_PORT = 8000
TRITON_GRPC_PORT = 8001
TRITON_METRICS_PORT = 8002
SCORER_PORT = 5001
RECORDER_PORT = 8003


def repository(name: str, version: int) -> str:
    """Return the path of a registered bundle's model repository in the service image."""
    return f"{MODELS}/{name}/{version}/triton"
