"""What a service serves: registered bundles, and the entry script."""

from pathlib import Path
from typing import Literal

from common.part import Part

__all__ = ["EntryScript", "ServedBundle"]


class ServedBundle(Part):
    """A registered bundle as this machine sees it: `path` is its folder of files, `framework` says who serves it."""

    registry: str
    name: str
    version: int
    digest: str
    path: Path
    framework: Literal["Multi", "Custom"]


class EntryScript(Part):
    """The entry script: its folder, its file in there, the digest of all the folder's files, and its golden request.

    `golden` is JSON text, `{"request": ..., "response": ...}` or `{}`.
    """

    source_directory: Path
    file: str
    digest: str
    golden: str = "{}"
