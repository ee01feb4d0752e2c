"""The name and the port by which this machine's clients reach a front door over IPv4."""

import socket

__all__ = ["LOCAL_PORT", "loopback_host"]

# Where clients of this machine find a front door by default, and the near end of a port-forward to one.
LOCAL_PORT = 6789


def loopback_host() -> str:
    """`localhost`, or 127.0.0.1 on a machine whose `localhost` is another address, such as ::1 alone."""
    try:
        found = socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)
    except OSError:
        return "127.0.0.1"
    return "localhost" if any(family == socket.AF_INET for family, *_ in found) else "127.0.0.1"
