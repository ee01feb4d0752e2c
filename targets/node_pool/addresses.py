"""How a service is reached: its URLs, and the commands of `kubectl` that show its logs and lead to it."""

import shlex

from environment.image_layout import TRITON_METRICS_PORT
from settings.node_pool import NodePoolSettings
from targets.machine.local_host import LOCAL_PORT
from targets.node_pool.object_names import CANDIDATE, FRONT_DOOR, REPLICA, STATISTICS_PORT, Names
from targets.node_pool.objects.exposure import HTTPS_PORT, scheme, service_port
from targets.node_pool.rendering import Options

__all__ = ["grpc_uri", "kubectl", "logs_arguments", "logs_command", "metrics_uri", "port_forward_command", "public_url"]

_COMMANDS_LINES = 1000
_LOG_STREAMS = 100


def public_url(options: Options, address: str) -> str:
    """Give the front door's base URI for the clients it is for; `address` is a load balancer's, or "" without one."""
    exposure = options.pool.exposure
    if exposure.kind in ("ingress", "gateway"):
        return f"https://{exposure.host}"
    names = Names.of(options)
    host = exposure.host or address if exposure.kind == "loadBalancer" else ""
    return f"{scheme(options)}://{host or f'{names.service}.{names.namespace}.svc'}"


def grpc_uri(options: Options, address: str) -> str | None:
    """Host and port for clients of Triton's gRPC; none behind an Ingress, which need not speak it."""
    kind = options.pool.exposure.kind
    if kind == "ingress":
        return None
    port = HTTPS_PORT if kind == "gateway" else service_port(options)
    return f"{public_url(options, address).partition('://')[2]}:{port}"


def metrics_uri(options: Options) -> str:
    """Triton's metrics of one replica after the other, inside the cluster; Envoy's statistics without a Triton."""
    names = Names.of(options)
    if options.triton:
        return f"http://{names.replicas}.{names.namespace}.svc:{TRITON_METRICS_PORT}/metrics"
    return f"http://{names.front_door}.{names.namespace}.svc:{STATISTICS_PORT}/stats/prometheus"


def logs_command(names: Names, pool: NodePoolSettings) -> str:
    """Give the command for people that shows what the replicas and the front door write."""
    return f"{_kubectl_for_people(pool)} {shlex.join(logs_arguments(names, _COMMANDS_LINES))}"


def logs_arguments(names: Names, lines: int, *, front_door_alone: bool = False) -> list[str]:
    """Give the arguments by which `kubectl` shows the last lines of a service's pods, or of the front door's alone."""
    selector = names.selector_of([FRONT_DOOR] if front_door_alone else [REPLICA, CANDIDATE, FRONT_DOOR])
    # kubectl's own limits with a selector, ten lines and five containers, hide most of it.
    whole = ["--all-containers", "--prefix", f"--tail={lines}", f"--max-log-requests={_LOG_STREAMS}"]
    return ["logs", "--selector", selector, *whole]


def port_forward_command(options: Options) -> str:
    """Give the command for people that leads from a port of one's own machine to the front door."""
    names, ports = Names.of(options), f"{LOCAL_PORT}:{service_port(options)}"
    return f"{_kubectl_for_people(options.pool)} {shlex.join(['port-forward', f'service/{names.service}', ports])}"


def _kubectl_for_people(pool: NodePoolSettings) -> str:
    """Give the start of a command of `kubectl` for bash and zsh, with another stack's kubeconfig where it has one."""
    command = shlex.join(kubectl(pool.context, pool.namespace))
    if pool.cluster_stack is None:
        return command
    output = ["pulumi", "stack", "output", pool.kubeconfig_output, "--show-secrets", "--stack", pool.cluster_stack]
    return command.replace("kubectl", f"kubectl --kubeconfig <({shlex.join(output)})", 1)


def kubectl(context: str | None, namespace: str) -> list[str]:
    """Give the start of a command of `kubectl` in a namespace of a context (`None` and `""`: the current one)."""
    return ["kubectl", *(["--context", context] if context else []), "--namespace", namespace]
