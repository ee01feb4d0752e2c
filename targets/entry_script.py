"""The entry script as the inputs of resources name it."""

from pathlib import Path

from environment.files import digest_of
from environment.source import read_source
from settings.golden import score_question
from settings.schema import Settings

__all__ = ["entry_script", "source_notes"]


def entry_script(settings: Settings, project: Path) -> dict[str, str] | None:
    """Give the script's absolute `sourceDirectory`, its `file` in there, the folder's `digest` and its `golden`.

    `golden` is JSON text, see `settings.golden.score_question`. None where the settings have no script.
    """
    golden = score_question(settings, project)
    if settings.entry_script is None or golden is None:
        return None
    source = (project / settings.source_directory).resolve()
    return {
        "sourceDirectory": str(source),
        "file": settings.entry_script,
        "digest": digest_of(source),
        "golden": golden,
    }


def source_notes(settings: Settings, project: Path) -> list[str]:
    """List the links that lead out of the source directory: people should know of them before it is copied."""
    if settings.entry_script is None:
        return []
    source = (project / settings.source_directory).resolve()
    return [
        f"sourceDirectory: {path} is a link to {real}, outside {source}: what it leads to is copied"
        for path, real in read_source(source).outside.items()
    ]
