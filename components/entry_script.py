"""The entry script as the inputs of resources name it."""

from pathlib import Path

from environment.files import digest_of
from settings.golden import score_question
from settings.schema import Settings

__all__ = ["entry_script"]


def entry_script(settings: Settings, project: Path) -> dict[str, str] | None:
    """The script's absolute `sourceDirectory`, its `file` in there, the folder's `digest` and the script's `golden`.

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
