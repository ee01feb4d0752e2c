"""The channel between the front process and one worker, over which connections travel as open file descriptors.

It is a Unix socket that keeps messages apart (SOCK_SEQPACKET). A worker connects when it is ready. Messages:

    worker to front   HELLO + row number   I am ready; my numbers are in this row of the scoreboard
    front to worker   CONNECTION + fd      answer this client, whose request is waiting
    worker to front   TAKEN                I have the last connection, and my loop still turns
    worker to front   CONNECTION + fd      this client is between requests; keep it
    worker to front   QUIT                 send me nothing more; the front closes the channel
"""

from __future__ import annotations

import os
import socket
import struct

HELLO = b"h"
CONNECTION = b"c"
TAKEN = b"t"
QUIT = b"q"

_MESSAGE_BYTES = 16
_CREDENTIALS = struct.Struct("3i")


def listen() -> socket.socket:
    """Open the socket to which workers connect; the kernel chooses its address, which leaves no file behind."""
    rendezvous = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    rendezvous.bind("")  # Linux: an abstract address, unique on this machine
    rendezvous.listen(128)
    return rendezvous


def is_own(connection: socket.socket) -> bool:
    """Tell whether the other end belongs to the same user: anybody on the machine can reach an abstract address."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(credentials)
    return bool(user == os.getuid())


def send(channel: socket.socket, message: bytes, descriptor: int | None = None) -> None:
    """Send a message, with an open file descriptor or without."""
    if descriptor is None:
        channel.send(message)
    else:
        socket.send_fds(channel, [message], [descriptor])


def receive(channel: socket.socket) -> tuple[bytes, int | None]:
    """Receive the next message.

    Returns:
        The message, `b""` when the other end is gone, and the open file descriptor that came with it, if any.

    Raises:
        BlockingIOError: there is no message now.
        OSError: the channel is broken.
    """
    message, descriptors, _, _ = socket.recv_fds(channel, _MESSAGE_BYTES, 1)
    return message, descriptors[0] if descriptors else None
