"""The entry script's source directory as one file, the same for the same files wherever somebody packs it."""

import io
import shutil
import tempfile
import zipfile
from pathlib import Path

from environment.source_digest import digest_of, is_executable
from environment.source_folder import read_source

__all__ = ["pack", "unpack"]

_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def pack(folder: Path, archive: Path) -> None:
    """Write the files that a service gets of a source directory into a zip file.

    The files are stored as they are: what compresses differs between versions of zlib.
    """
    with zipfile.ZipFile(archive, "w") as packed:
        for path in read_source(folder).files:
            info = zipfile.ZipInfo(path.as_posix(), _LONG_AGO)
            info.create_system = 3  # Unix, whose permissions follow
            info.external_attr = (0o100755 if is_executable(folder / path) else 0o100644) << 16
            info.file_size = (folder / path).stat().st_size
            with (folder / path).open("rb") as source, packed.open(info, "w") as sink:
                shutil.copyfileobj(source, sink)


def unpack(content: bytes, folder: Path, digest: str) -> None:
    """Make a folder of what `pack` packed, unless the folder holds exactly that.

    Args:
        content: The zip file's content.
        folder: The folder to make, or to replace.
        digest: The digest of the source directory.
    """
    if folder.is_dir() and digest_of(folder) == digest:
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        staging = Path(scratch, "source")
        staging.mkdir()
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for info in packed.infolist():
                made = Path(packed.extract(info, staging))
                made.chmod(0o755 if info.external_attr >> 16 & 0o100 else 0o644)
        if folder.exists():
            folder.rename(Path(scratch, "replaced"))
        staging.rename(folder)
