"""The kubeconfig of the stack that has the cluster, as its output."""

import shlex
import subprocess

from settings.node_pool import NodePoolSettings
from targets.errors import ServiceError

__all__ = ["kubeconfig"]


def kubeconfig(pool: NodePoolSettings, engine: str) -> str:
    """Read the kubeconfig that the settings name, by a command of Pulumi's; it comes through a pipe alone.

    Raises:
        ServiceError: The stack or the output is not there, or the engine may not read it.
    """
    wanted = ["stack", "output", pool.kubeconfig_output, "--show-secrets", "--stack", str(pool.cluster_stack)]
    command = [*shlex.split(engine), *wanted]
    try:
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError:
        raise ServiceError(f"{command[0]} is not on PATH, which reads {pool.kubeconfig_source}") from None
    if done.returncode:
        raise ServiceError(
            f"{pool.kubeconfig_source} cannot be read: {' '.join(done.stderr.split())}; expected a stack of the same "
            "backend that exports it: run up there, or change the setting"
        )
    return done.stdout
