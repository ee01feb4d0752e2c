"""A service's logs on target `node-pool`, by `kubectl`."""

import os
import shlex
import subprocess

from targets.contract import Stack
from targets.errors import ServiceError
from targets.node_pool.addresses import kubectl, logs_arguments
from targets.node_pool.cluster.identity import expected_cluster, known_cluster
from targets.node_pool.cluster.kubeconfig import Kubeconfig
from targets.node_pool.object_names import Names

__all__ = ["show"]


def show(stack: Stack, *, follow: bool) -> int:
    """Show the ends of the replicas' logs by `kubectl`; gives its exit code.

    Raises `ServiceError` where there is no `kubectl`, `ClusterError` as `status` does where a cluster is known.
    """
    pool, known = stack.settings.node_pool, known_cluster(stack.cluster)
    kubeconfig = Kubeconfig.of(stack)
    if known:
        expected_cluster(pool.context or "", known, kubeconfig)
    command = [*kubectl(pool.context, pool.namespace), *logs_arguments(Names.of_settings(stack.settings))]
    command += ["--follow"] if follow else []
    try:
        if kubeconfig is None:
            return subprocess.run(command, check=False).returncode
        with kubeconfig.environment(os.environ) as (variables, descriptor):
            return subprocess.run(command, check=False, env=variables, pass_fds=[descriptor]).returncode
    except FileNotFoundError:
        raise ServiceError(f"kubectl is not on PATH; the command is: {shlex.join(command)}") from None
