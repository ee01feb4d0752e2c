"""Errors meant for the person at the terminal: shown as one message, without a traceback."""

from __future__ import annotations

CLI_HINT = "The Pulumi CLI has it: https://www.pulumi.com/docs/install/"


class EngineError(Exception):
    """A mistake or failure that its message explains in full. `status` is the exit status, as Pulumi's CLI has it."""

    status = 1
    shown = False
    """Whether the person has seen the message, as that of a resource."""


class UsageError(EngineError):
    """A command line that cannot be carried out."""


class ConfirmationNeeded(UsageError):
    """A command that would change something and was not told to go on."""

    status = 2


class StackNotFound(EngineError):
    """A stack that the backend does not have, or none where one is needed."""

    status = 6


class StateDamaged(EngineError):
    """A checkpoint or a deployment that is not as Pulumi writes them."""


class StateNotWritten(EngineError):
    """A state that the backend did not take: the failure of an operation, and of none of its resources."""


class UnexpectedChanges(EngineError):
    """Changes under `--expect-no-changes`."""

    status = 7


class OperationFailed(EngineError):
    """An operation that ended with errors, each already shown."""


class Cancelled(EngineError):
    """An operation that the person stopped, or did not confirm."""
