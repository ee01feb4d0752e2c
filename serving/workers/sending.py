"""Sends answers from a greenlet, and ends a connection."""

from __future__ import annotations

import socket

import gevent
from gevent.socket import socket as GeventSocket

from serving.workers.script_worker import RECEIVE_BYTES, TICK_SECONDS, abandon, unread_by


def send(client: GeventSocket, answer: bytes, seconds: float) -> None:
    """Send an answer.

    Args:
        client: the connection.
        answer: the bytes.
        seconds: how long the client may take nothing.

    Raises:
        TimeoutError: the client has taken nothing for so long.
    """
    rest = send_at_once(client, answer)
    if rest:
        send_slowly(client, rest, seconds)


def send_at_once(client: GeventSocket, answer: bytes) -> memoryview | None:
    """Send as much as the connection takes now, which is the whole of most answers; gevent's sendall costs more.

    Returns:
        The rest, if any.
    """
    try:
        sent = client.send(answer, 0, 0.0)
    except BlockingIOError:
        sent = 0
    return memoryview(answer)[sent:] if sent < len(answer) else None


def send_slowly(client: GeventSocket, rest: memoryview, seconds: float) -> None:
    """Send the rest of an answer, see `send`.

    Raises:
        TimeoutError: the client has taken nothing for `seconds`.
    """
    client.settimeout(seconds)
    while rest:
        unread = unread_by(client)
        try:
            rest = rest[client.send(rest) :]
        except TimeoutError:
            if unread_by(client) == unread:
                abandon(client)
                raise
    client.settimeout(None)


def linger(client: GeventSocket) -> None:
    """Let the client read the answer before the connection ends: closing with unread bytes would reset it."""
    client.shutdown(socket.SHUT_WR)
    with gevent.Timeout(TICK_SECONDS, False):
        while client.recv(RECEIVE_BYTES):
            pass
