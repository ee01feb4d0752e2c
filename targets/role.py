"""What a program of a service is to it."""

from enum import Enum

__all__ = ["Role"]


class Role(str, Enum):
    """A program's part in a service; its text is in names, labels, files and URLs.

    `NETWORK` holds what the programs of one generation share where they run in containers. `PROVER` runs while a
    generation proves itself. `RECORDER` gets copies of requests, and answers no client.
    """

    NETWORK = "network"
    TRITON = "triton"
    SCORER = "scorer"
    FRONT_DOOR = "front-door"
    PROVER = "prover"
    RECORDER = "recorder"

    def __str__(self) -> str:
        return self.value

    @classmethod
    def serving(cls, *, triton: bool, scorer: bool) -> tuple["Role", ...]:
        """List who serves behind the front door."""
        return (cls.TRITON,) * triton + (cls.SCORER,) * scorer
