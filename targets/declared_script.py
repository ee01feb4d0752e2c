"""The entry script as the inputs of resources name it."""

from pathlib import Path

from environment.source_digest import digest_of
from environment.source_folder import read_source
from settings.golden import score_question
from settings.schema import Settings
from targets.served import EntryScript

__all__ = ["entry_script", "source_notes"]


def entry_script(settings: Settings) -> EntryScript | None:
    """Read a stack's entry script; None where the settings have none."""
    golden = score_question(settings)
    if settings.entry_script is None or golden is None:
        return None
    source = Path(settings.source_directory).resolve()
    return EntryScript(source_directory=source, file=settings.entry_script, digest=digest_of(source), golden=golden)


def source_notes(settings: Settings) -> list[str]:
    """What is worth knowing of the source directory before it is copied: links that lead out of it."""
    if settings.entry_script is None:
        return []
    source = Path(settings.source_directory).resolve()
    return [
        f"sourceDirectory: {path} is a link to {real}, outside {source}: what it leads to is copied"
        for path, real in read_source(source).outside.items()
    ]
