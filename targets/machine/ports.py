"""Loopback ports for a generation's processes."""

import random
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["free_ports", "is_listening"]

# Ports that the kernel gives to outgoing connections: one of them, free now, may be taken while its owner restarts.
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 20_000
_TRIES = 100


def _below_outgoing() -> range:
    try:
        first_ephemeral = int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError):
        first_ephemeral = 0
    return range(_LOWEST, max(_LOWEST, first_ephemeral))


LOOPBACK_PORTS = _below_outgoing()
"""The ports that `free_ports` chooses from."""


def free_ports(count: int, *, preferred: Iterable[int | None] = ()) -> list[int]:
    """Choose `count` loopback ports that nobody listens on, the `preferred` ones first.

    They are below those of outgoing connections, and all are held while they are chosen, so that one port is never
    given twice.
    """
    held: list[socket.socket] = []
    try:
        for port in [*(p for p in preferred if p), *_unlikely_taken(count)]:
            if len(held) == count:
                break
            holder = socket.socket()
            # A port in TIME_WAIT is free for whoever sets this, and Triton, Envoy and Gunicorn do.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                holder.bind(("127.0.0.1", port))
            except OSError:
                holder.close()
                continue
            held.append(holder)
        return [holder.getsockname()[1] for holder in held]
    finally:
        for holder in held:
            holder.close()


def _unlikely_taken(count: int) -> Iterator[int]:
    """Ports to try, in random order, and in the end whatever the kernel gives (0)."""
    yield from random.sample(LOOPBACK_PORTS, min(_TRIES, len(LOOPBACK_PORTS)))
    yield from [0] * count


def is_listening(port: int) -> bool:
    """Tell whether somebody accepts connections on a loopback port."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0
