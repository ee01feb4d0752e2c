"""The name by which this machine reaches itself over IPv4, where front doors and Triton listen."""

import socket

__all__ = ["loopback_host"]


def loopback_host() -> str:
    """`localhost`, or 127.0.0.1 on a machine whose `localhost` is another address, such as ::1 alone."""
    try:
        found = socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)
    except OSError:
        return "127.0.0.1"
    return "localhost" if any(family == socket.AF_INET for family, *_ in found) else "127.0.0.1"
