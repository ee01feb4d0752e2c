"""`make key`: one key of the front door, for a shell's variable."""

import sys
from typing import Any

from operate.stack_outputs import stack_outputs
from targets.errors import ServiceError

__all__ = ["show"]

_BOTH = ("primary", "secondary")


def show(engine: str, stack: str, which: str, client: str) -> int:
    """Print a key and nothing else; gives the exit code.

    Args:
        engine: The command that reads outputs, as the Makefile has it.
        stack: The stack's name.
        which: `primary` or `secondary`.
        client: The client whose key it is; "" for the service's own two keys.

    Raises:
        ServiceError: There is no such key.
    """
    if which not in _BOTH:
        raise ServiceError(f"KEY is '{which}': expected primary or secondary; a client's key is CLIENT=<name>")
    sys.stdout.write(f"{_key(stack_outputs(engine, stack), stack, which, client)}\n")
    return 0


def _key(outputs: dict[str, Any], stack: str, which: str, client: str) -> str:
    if not client:
        own = outputs.get(f"{which}Key")
        if own is None:
            raise ServiceError(f"stack '{stack}' has no keys: its front door asks for none (deployment.authEnabled)")
        return str(own)
    keys = outputs.get("clientKeys") or {}
    if client not in keys:
        there = f"expected one of {', '.join(sorted(keys))}" if keys else "no client of it has keys"
        raise ServiceError(f"stack '{stack}' was deployed with no key for a client '{client}': {there}")
    return str(keys[client][which])
