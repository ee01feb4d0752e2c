"""CPU, memory, GPUs and shared memory of a replica, shared out among its containers."""

from dataclasses import dataclass, replace
from typing import Any

from targets.commands import RECORDER_MEMORY_MB
from targets.node_pool.rendering import Options

__all__ = [
    "Share",
    "downloads_gb",
    "front_door_share",
    "mebibytes",
    "recorder_share",
    "replica_memory_mb",
    "scorer_share",
    "shared_memory_mb",
    "triton_share",
]


@dataclass(frozen=True)
class Share:
    """What one container asks for and may use at most, in cores and MiB, its GPUs, and the GiB that it downloads."""

    cpu: float
    cpu_limit: float
    memory_mb: int
    memory_limit_mb: int
    gpus: int
    gpu_resource: str
    downloads_gb: int = 0

    @property
    def threads(self) -> int:
        """Threads that compute at once: one for each whole core, and at least one."""
        return max(1, int(self.cpu_limit))

    def resources(self) -> dict[str, Any]:
        """Render the container's `resources`. GPUs cannot be overcommitted: their request equals their limit."""
        gpu = {self.gpu_resource: str(self.gpus)} if self.gpus else {}
        disk = {"ephemeral-storage": f"{self.downloads_gb}Gi"} if self.downloads_gb else {}
        return {
            "requests": {"cpu": _millicores(self.cpu), "memory": mebibytes(self.memory_mb), **disk, **gpu},
            "limits": {"cpu": _millicores(self.cpu_limit), "memory": mebibytes(self.memory_limit_mb), **gpu},
        }


def triton_share(options: Options) -> Share:
    """Triton's part: everything, or what the scorer leaves; the GPUs."""
    share = _share(options, 1 - options.pool.scorer_share if options.scorer else 1, gpus=options.gpus)
    return replace(share, downloads_gb=downloads_gb(options))


def scorer_share(options: Options) -> Share:
    """Give the scorer's part: `nodePool.scorerShare` beside a Triton, everything (the GPUs too) without one."""
    if options.triton:
        return _share(options, options.pool.scorer_share, gpus=0)
    return _share(options, 1, gpus=options.gpus)


def shared_memory_mb(options: Options) -> int:
    """Size of Triton's /dev/shm, through which its Python backend passes tensors; it counts as Triton's memory."""
    return options.pool.shm_mb or max(64, triton_share(options).memory_limit_mb // 4)


def downloads_gb(options: Options) -> int:
    """GiB that Triton may download; 0 where the image holds the models."""
    return options.pool.download_gb if options.triton and options.pool.models_from == "registry" else 0


def replica_memory_mb(options: Options) -> int:
    """MiB that a replica's containers may use together."""
    return round(max(options.pool.memory_gb_limit or 0, options.resources.memory_gb) * 1024)


def front_door_share(options: Options) -> Share:
    """Give the resources of each Envoy: it may use what it asks for."""
    door = options.pool.front_door
    return Share(
        cpu=door.cpu_cores,
        cpu_limit=door.cpu_cores,
        memory_mb=door.memory_mb,
        memory_limit_mb=door.memory_mb,
        gpus=0,
        gpu_resource=options.pool.gpu_resource,
    )


def recorder_share(options: Options) -> Share:
    """Give what a replica's recorder asks for and may use, beside the replica's own."""
    return Share(
        cpu=0.05,
        cpu_limit=0.5,
        memory_mb=RECORDER_MEMORY_MB,
        memory_limit_mb=RECORDER_MEMORY_MB,
        gpus=0,
        gpu_resource=options.pool.gpu_resource,
    )


def _share(options: Options, part: float, *, gpus: int) -> Share:
    asked, pool = options.resources, options.pool
    cpu_limit = max(pool.cpu_cores_limit or 0, asked.cpu_cores)
    return Share(
        cpu=asked.cpu_cores * part,
        cpu_limit=cpu_limit * part,
        memory_mb=round(asked.memory_gb * 1024 * part),
        memory_limit_mb=round(replica_memory_mb(options) * part),
        gpus=gpus,
        gpu_resource=pool.gpu_resource,
    )


def _millicores(cores: float) -> str:
    return f"{max(1, round(cores * 1000))}m"


def mebibytes(amount: int) -> str:
    """Write an amount of memory as Kubernetes does."""
    return f"{amount}Mi"
