"""A registered version's manifest: its files with their hashes, the digest over them, and the models in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

FORMAT = 1
CHUNK = 1 << 20


class ManifestError(ValueError):
    """A manifest that is damaged; the message has no file name, so that the caller can put it before."""


@dataclass(frozen=True)
class FileRecord:
    """A registered file: its path in the bundle, its size in bytes and the SHA-256 of its content in hex.

    `mtime_ns` is its time of change in the registry where that is a directory: a file with the size and time recorded
    is taken as unchanged, any other is hashed.
    """

    path: str
    size: int
    sha256: str
    mtime_ns: int | None = None


def hash_stream(stream: BinaryIO, sink: BinaryIO | None = None) -> tuple[int, str]:
    """The size and SHA-256 of what a stream has left, copied to `sink` on the way, a chunk at a time."""
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
        if sink is not None:
            sink.write(chunk)
    return size, digest.hexdigest()


def digest_of(files: Iterable[FileRecord]) -> str:
    """The digest of a bundle's content: SHA-256 over (path, size, SHA-256) of its files, sorted by path."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.path):
        digest.update(json.dumps([file.path, file.size, file.sha256]).encode() + b"\n")
    return f"sha256:{digest.hexdigest()}"


@dataclass(frozen=True)
class Manifest:
    """What a registered version is. `tags`, `description` and `framework` are those of its registration.

    `content` is where the files lie, relative to the model's folder in the registry.
    """

    name: str
    version: int
    digest: str
    content: str
    created: str
    files: tuple[FileRecord, ...]
    models: tuple[Mapping[str, Any], ...]
    tags: Mapping[str, str]
    description: str
    framework: str

    def to_bytes(self) -> bytes:
        """The manifest as the JSON that the registry keeps."""
        document = {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "content": self.content,
            "created": self.created,
            "tags": dict(self.tags),
            "description": self.description,
            "framework": self.framework,
            "files": [
                {"path": file.path, "size": file.size, "sha256": file.sha256, "mtimeNs": file.mtime_ns}
                for file in self.files
            ],
            "models": list(self.models),
        }
        return (json.dumps(document, indent=1) + "\n").encode()


def parse_manifest(data: bytes) -> Manifest:
    """Parses a manifest and checks its digest against the files that it lists.

    Raises:
        ManifestError: it is no manifest of this format, or was changed.
    """
    try:
        document = json.loads(data)
        written = document["format"]
        if written != FORMAT:
            raise ManifestError(
                f"has format {written}, expected {FORMAT}; use the version of this project that wrote it"
            )
        manifest = Manifest(
            name=document["name"],
            version=document["version"],
            digest=document["digest"],
            content=document["content"],
            created=document["created"],
            files=tuple(FileRecord(f["path"], f["size"], f["sha256"], f["mtimeNs"]) for f in document["files"]),
            models=tuple(document["models"]),
            tags=document["tags"],
            description=document["description"],
            framework=document["framework"],
        )
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, ManifestError):
            raise
        raise ManifestError("is damaged; restore it, or remove the version's folder and register it again") from None
    if digest_of(manifest.files) != manifest.digest:
        raise ManifestError(
            "was changed: its digest is not that of its files; restore it, or remove the version's folder"
        )
    return manifest
