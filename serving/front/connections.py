"""The connections of the front process: to clients that no worker has, and to the workers."""

from __future__ import annotations

from socket import socket

from serving.front.scoreboard import Row

_ON_THEIR_WAY = 64


class Client:
    """A connection to a client, while no worker has it."""

    __slots__ = ("connection", "deadline", "held_since", "is_asking", "is_lingering")

    def __init__(self, connection: socket, deadline: float) -> None:
        self.connection = connection
        self.deadline = deadline
        self.held_since = 0.0
        self.is_asking = False  # for /ready: a thread asks Triton
        self.is_lingering = False


class WorkerLink:
    """The connection to a worker; see `channel` for its messages."""

    __slots__ = ("channel", "is_quitting", "on_their_way", "row")

    def __init__(self, link: socket, row: Row) -> None:
        self.channel = link
        self.row = row
        self.on_their_way = 0  # connections sent, for which the worker has not said TAKEN yet
        self.is_quitting = False

    @property
    def has_room(self) -> bool:
        """Whether the worker may get another connection: one at a time where its run() may occupy it."""
        return self.on_their_way < (1 if self.row.get("blocks") else _ON_THEIR_WAY)

    def load(self) -> tuple[bool, float]:
        """Measure how busy the worker is: first whether a run() occupies it, then its requests and connections."""
        in_flight = self.row.get("in_flight")
        return bool(in_flight and self.row.get("blocks")), in_flight + self.row.get("connections") + self.on_their_way
