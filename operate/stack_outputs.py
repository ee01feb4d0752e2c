"""A stack's outputs with its secrets, read by a command of Pulumi's: they come through a pipe alone."""

import json
import shlex
import subprocess
from typing import Any

from targets.errors import ServiceError

__all__ = ["stack_outputs"]


def stack_outputs(engine: str, stack: str) -> dict[str, Any]:
    """Read the outputs of a stack.

    Args:
        engine: The command, as the Makefile has it.
        stack: The stack's name.

    Raises:
        ServiceError: They cannot be read, or there are none.
    """
    command = [*shlex.split(engine), "stack", "output", "--json", "--show-secrets", "--stack", stack]
    try:
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError:
        raise ServiceError(f"{command[0]} is not on PATH, which reads the key of stack '{stack}'") from None
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise ServiceError(
            f"the key of stack '{stack}' cannot be read: {said}; expected a stack that was deployed here"
        )
    outputs: dict[str, Any] = json.loads(done.stdout or "{}")
    if not outputs:
        raise ServiceError(f"stack '{stack}' has no outputs yet; deploy it: make up STACK={stack}")
    return outputs
