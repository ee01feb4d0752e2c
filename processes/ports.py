"""Loopback ports for a generation's processes."""

import socket
from collections.abc import Iterable


def free_ports(count: int, *, preferred: Iterable[int | None] = ()) -> list[int]:
    """Choose `count` loopback ports that nobody listens on, the `preferred` ones first.

    All are held while they are chosen, so that one port is never given twice.
    """
    held: list[socket.socket] = []
    try:
        for port in [*(p for p in preferred if p), *[0] * count]:
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


def is_listening(port: int) -> bool:
    """Tell whether somebody accepts connections on a loopback port."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0
