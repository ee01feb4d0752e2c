"""Data collection, the workers' side: sends a sample of requests and answers to the collector process, see `collector`.

A record travels as one message over a socket that never makes a worker wait: the worker drops a record that does not
fit, and counts it. A record holds the body of the request (of a GET, the query), the body of the answer, ids, time,
status and duration. Of the headers it holds the content type alone, and so no key.
"""

from __future__ import annotations

import marshal
import random
import socket
import time
from dataclasses import dataclass

from serving.front.scoreboard import Row
from serving.settings import Collection


@dataclass(frozen=True)
class Record:
    """One call of run(). `input` and `output` may be cut; `input_bytes` and `output_bytes` are the full lengths."""

    time: float
    request_id: str
    client_request_id: str
    status: int
    seconds: float
    input: bytes
    input_bytes: int
    output: bytes
    output_bytes: int
    check: bool
    method: str = "POST"
    content_type: str = ""

    def pack(self) -> bytes:
        """Write the record as a message."""
        return marshal.dumps(tuple(self.__dict__.values()))

    @classmethod
    def unpack(cls, message: bytes) -> Record:
        """Read the record of a message."""
        return cls(*marshal.loads(message))


class Sampler:
    """Offers records of one worker to the collector."""

    def __init__(self, sink: socket.socket, row: Row, collection: Collection) -> None:
        self._sink = sink
        self._row = row
        self._rate = collection.sample
        self._limit = collection.max_record_bytes // 2

    def offer(
        self,
        request_id: str,
        client_request_id: str,
        status: int,
        seconds: float,
        content: bytes,
        answer: bytes,
        *,
        check: bool,
        method: str = "POST",
        content_type: str = "",
    ) -> None:
        """Record a call, if it belongs to the sample.

        Args:
            request_id: the request's id.
            client_request_id: the id that the client gave it.
            status: the answer's status.
            seconds: the time from the complete request to its answer.
            content: the body of the request, or its query.
            answer: the body of the answer.
            check: whether the deployment sent the request, to prove itself.
            method: the request's method.
            content_type: its header Content-Type, or "".
        """
        if self._rate < 1.0 and random.random() >= self._rate:
            return
        record = Record(
            time=time.time(),
            request_id=request_id,
            client_request_id=client_request_id,
            status=status,
            seconds=seconds,
            input=content[: self._limit],
            input_bytes=len(content),
            output=answer[: self._limit],
            output_bytes=len(answer),
            check=check,
            method=method,
            content_type=content_type,
        )
        try:
            self._sink.send(record.pack(), socket.MSG_DONTWAIT)
        except OSError:
            self._row.add("collection_dropped")


def channel() -> tuple[socket.socket, socket.socket]:
    """Make the channel between the workers and the collector.

    Returns:
        The collector's end, and the workers' end. The collector reads `b""` once nobody holds the workers' end.
    """
    source, sink = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sink.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    return source, sink
