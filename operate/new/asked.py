"""What the user asks of `make new`, and the places of the new stack's files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from operate.new.errors import NewStackError
from settings.schema import Target

__all__ = ["Asked", "Places"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user asks for.

    Attributes:
        project: The project's folder.
        name: The new stack's name.
        model: The model's path, as the user writes it.
        target: Where the service shall run.
        script: Which model a script shall ask: its name, "1" for the only one, "" for no script.
    """

    project: Path
    name: str
    model: str
    target: str = Target.PROCESS.value
    script: str = ""

    @property
    def path(self) -> Path:
        """The model's path on this machine."""
        return Path(self.model).expanduser()

    @property
    def places(self) -> Places:
        """The places of the new stack's files."""
        return Places(project=self.project, name=self.name)

    def require_target(self) -> None:
        """Refuse a target that there is none of.

        Raises:
            NewStackError: The target is unknown.
        """
        targets = [target.value for target in Target]
        if self.target not in targets:
            raise NewStackError(f"TARGET={self.target}: is no target; expected {', '.join(targets)}; correct it")


@dataclass(frozen=True, kw_only=True)
class Places:
    """The places of a new stack's files in its project."""

    project: Path
    name: str

    @property
    def stack(self) -> Path:
        """The stack's file."""
        return self.project / "stacks" / f"Pulumi.{self.name}.yaml"

    @property
    def bundle(self) -> Path:
        """The bundle's folder."""
        return self.project / "models" / self.name

    @property
    def scripts(self) -> Path:
        """The folder of the entry script."""
        return self.project / "scripts" / self.name

    def require_free(self, *places: Path) -> None:
        """Refuse to write where something is.

        Raises:
            NewStackError: Something is in the way; the text names it all.
        """
        taken = [str(place.relative_to(self.project)) for place in places if place.exists() or place.is_symlink()]
        if taken:
            raise NewStackError(
                f"NAME={self.name}: {' and '.join(taken)} {'exist' if taken[1:] else 'exists'} already, and make new "
                f"overwrites nothing; expected a name that is free; choose another NAME, or remove: {' '.join(taken)}"
            )
