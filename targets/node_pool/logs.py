"""A service's logs on target `node-pool`, by `kubectl`."""

import os
import shlex

from targets.contract import Stack
from targets.errors import ServiceError
from targets.log_lines import print_output
from targets.node_pool.addresses import kubectl, logs_arguments
from targets.node_pool.cluster.identity import expected_cluster, known_cluster
from targets.node_pool.cluster.kubeconfig import Kubeconfig
from targets.node_pool.object_names import Names

__all__ = ["show"]


def show(stack: Stack, *, follow: bool, as_json: bool, lines: int) -> int:
    """Show the ends of the pods' logs by `kubectl`; gives its exit code.

    Raises `ServiceError` where there is no `kubectl`, `ClusterError` as `status` does where a cluster is known.
    """
    pool, known = stack.settings.node_pool, known_cluster(stack.cluster)
    kubeconfig = Kubeconfig.of(stack)
    if known:
        expected_cluster(pool.context or "", known, kubeconfig)
    arguments = logs_arguments(Names.of_settings(stack.settings), lines, front_door_alone=as_json)
    command = [*kubectl(pool.context, pool.namespace), *arguments, *(["--follow"] if follow else [])]
    try:
        if kubeconfig is None:
            return print_output(command, as_json=as_json)
        with kubeconfig.environment(os.environ) as (variables, descriptor):
            return print_output(command, as_json=as_json, variables=variables, descriptors=[descriptor])
    except FileNotFoundError:
        raise ServiceError(f"kubectl is not on PATH; the command is: {shlex.join(command)}") from None
