"""A service's logs on target `node-pool`, by `kubectl`."""

import shlex

from targets.contract import Stack
from targets.errors import ServiceError
from targets.log_lines import print_output
from targets.node_pool.addresses import logs_command
from targets.node_pool.cluster.identity import expected_cluster, known_cluster
from targets.node_pool.object_names import Names

__all__ = ["show"]


def show(stack: Stack, *, follow: bool, as_json: bool) -> int:
    """Show the ends of the pods' logs by `kubectl`; gives its exit code.

    Raises `ServiceError` where there is no `kubectl`, `ClusterError` as `status` does where a cluster is known.
    """
    settings, known = stack.settings, known_cluster(stack.cluster)
    if known:
        expected_cluster(settings.node_pool.context or "", known)
    command = logs_command(Names.of_settings(settings), settings.node_pool.context, front_door_alone=as_json)
    command += ["--follow"] if follow else []
    try:
        return print_output(command, as_json=as_json)
    except FileNotFoundError:
        raise ServiceError(f"kubectl is not on PATH; the command is: {shlex.join(command)}") from None
