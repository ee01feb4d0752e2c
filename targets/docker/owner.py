"""Whose a container is: its stack's and its state directory's, as all clones of the project may share an engine."""

from pathlib import Path

from targets.machine.state_place import place_of

__all__ = ["owner_of", "stack_and_place"]

_OF = " of "


def owner_of(stack: str, state_directory: Path) -> str:
    """Give the owner by which a stack's containers are found."""
    return f"{stack}{_OF}{place_of(state_directory)}"


def stack_and_place(owner: str) -> tuple[str, str]:
    """Give the stack and the place of an owner."""
    stack, _, place = owner.partition(_OF)
    return stack, place
