"""Sending answers from a greenlet, and the end of a connection."""

from __future__ import annotations

import socket

import gevent
from gevent.socket import socket as GeventSocket

from serving.workers.script_worker import RECEIVE_BYTES, TICK_SECONDS, abandon, unread_by


def send(client: GeventSocket, answer: bytes, seconds: float) -> None:
    """Send an answer. Raises TimeoutError for a client that takes nothing of it for so many seconds."""
    rest = send_at_once(client, answer)
    if rest:
        send_slowly(client, rest, seconds)


def send_at_once(client: GeventSocket, answer: bytes) -> memoryview | None:
    """Send what the connection takes now, which is most answers; what is left of it. (gevent's sendall does more.)"""
    try:
        sent = client.send(answer, 0, 0.0)
    except BlockingIOError:
        sent = 0
    return memoryview(answer)[sent:] if sent < len(answer) else None


def send_slowly(client: GeventSocket, rest: memoryview, seconds: float) -> None:
    """Send the rest of an answer. Raises TimeoutError for a client that takes nothing of it for so many seconds."""
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
