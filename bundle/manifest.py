"""A registered version's manifest: its files with their hashes, the digest over them, and the models in it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

FORMAT = 1
CHUNK = 1 << 20

# Azure Machine Learning's rule for the names of models.
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,254}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODEL_KEYS = {"name": str, "versions": list, "platform": str, "backend": str, "inputs": list, "outputs": list}


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
    """Parses a manifest, and checks everything in it that others rely on: whoever can write to a registry may have.

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
            **properties_of(document),
        )
        problem = _problem(manifest)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, ManifestError):
            raise
        problem = "it is no complete JSON object of its kind"
    if problem:
        raise ManifestError(f"is damaged: {problem}; {_FIX}")
    if digest_of(manifest.files) != manifest.digest:
        raise ManifestError(f"was changed: its digest is not that of its files; {_FIX}")
    return manifest


_FIX = "restore it, or remove the version's folder and register it again"


def properties_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The tags, the description and the framework of a manifest, or of what replaced them later.

    Raises:
        ManifestError: they are not there, or not of their kinds.
    """
    try:
        found = {key: document[key] for key in ("tags", "description", "framework")}
        texts = (found["description"], found["framework"], *found["tags"], *found["tags"].values())
    except (KeyError, TypeError, AttributeError):
        texts = (None,)
    if not all(isinstance(text, str) for text in texts):
        raise ManifestError(f"is damaged: tags, description and framework are not there, or no texts; {_FIX}")
    return found


def _problem(manifest: Manifest) -> str:
    """What is wrong with a manifest: types, and names and paths that lead out of the folder they belong to."""
    if not NAME.fullmatch(manifest.name) or type(manifest.version) is not int or manifest.version < 1:
        return "it has no valid name and version"
    if not re.fullmatch(rf"{manifest.version}/files|content/[0-9a-f]{{32}}", manifest.content):
        return f"content is {manifest.content!r}, expected a folder of the version's own"
    for file in manifest.files:
        if why := why_not_inside(file.path):
            return f"files has the path {file.path!r}: {why}"
        if type(file.size) is not int or file.size < 0 or not _SHA256.fullmatch(file.sha256):
            return f"files has no size and SHA-256 of {file.path!r}"
        if file.mtime_ns is not None and type(file.mtime_ns) is not int:
            return f"files has a time of {file.path!r} that is none"
    if clash := _clash([file.path for file in manifest.files]):
        return f"files has the path {clash!r} twice, or as a folder too"
    for model in manifest.models:
        if not all(isinstance(model[key], kind) for key, kind in _MODEL_KEYS.items()):
            return "models has one without a name, versions, platform, backend, inputs or outputs"
        if not model["versions"] or not all(type(version) is int for version in model["versions"]):
            return f"models has no numbers as the versions of {model['name']!r}"
    return ""


def why_not_inside(path: str) -> str:
    """Say why a file's path may lead out of its folder, or mean another file elsewhere; "" where it may not."""
    if not path or any(part in ("", ".", "..") for part in path.split("/")):
        return "expected names with one '/' between them, none of them '.' or '..'"
    if "\\" in path or not path.isprintable():
        return "expected printable characters, and no backslash"
    return ""


def _clash(paths: Sequence[str]) -> str:
    """The first path that is there twice, or is the folder of another one; "" where there is none."""
    seen: set[str] = set()
    folders = {
        "/".join(parts[:length]) for parts in (path.split("/") for path in paths) for length in range(1, len(parts))
    }
    for path in paths:
        if path in seen or path in folders:
            return path
        seen.add(path)
    return ""
