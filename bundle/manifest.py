"""The manifest of a registered version: its files with their hashes, the digest over them, and its models."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from bundle.bundle_types import BundleFile

FORMAT = 1
CHUNK = 1 << 20

# Azure Machine Learning's rule for the names of models.
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,254}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODEL_KEYS = {"name": str, "versions": list, "platform": str, "backend": str, "inputs": list, "outputs": list}


class ManifestError(ValueError):
    """A manifest is damaged; the caller puts the file's name before the message."""


@dataclass(frozen=True)
class FileRecord:
    """A registered file.

    Attributes:
        path: Its path in the bundle.
        size: Its size in bytes.
        sha256: The SHA-256 of its content, in hex.
        mtime_ns: Its time of change, where the registry is a directory. A file with this size and time counts as
            unchanged; any other file is hashed.
    """

    path: str
    size: int
    sha256: str
    mtime_ns: int | None = None

    @classmethod
    def of(cls, file: BundleFile) -> FileRecord:
        """Hash a file of a bundle."""
        with file.open() as stream:
            return cls(file.path, *hash_stream(stream))


def hash_stream(stream: BinaryIO, sink: BinaryIO | None = None) -> tuple[int, str]:
    """Read a stream to its end, and copy it to `sink`.

    Returns:
        The number of bytes read and their SHA-256 in hex.
    """
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
        if sink is not None:
            sink.write(chunk)
    return size, digest.hexdigest()


def digest_of(files: Iterable[FileRecord]) -> str:
    """Compute the digest of a bundle's content: SHA-256 over (path, size, SHA-256) of its files, sorted by path."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.path):
        digest.update(json.dumps([file.path, file.size, file.sha256]).encode() + b"\n")
    return f"sha256:{digest.hexdigest()}"


@dataclass(frozen=True)
class Manifest:
    """A registered version, as it was registered.

    `content` is the place of the files, relative to the model's folder in the registry.
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

    def without_times(self) -> Manifest:
        """Return the manifest for a copy, whose files have their own times of change."""
        return replace(self, files=tuple(replace(record, mtime_ns=None) for record in self.files))

    def to_bytes(self) -> bytes:
        """Write the manifest as the JSON that the registry keeps."""
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
    """Parse a manifest and check everything in it: anybody who can write to the registry may have changed it.

    Raises:
        ManifestError: The data are no manifest of this format, or were changed.
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
    """Return the tags, the description and the framework of a manifest or of `properties.json`.

    Raises:
        ManifestError: One is missing, or not of its type.
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
    """Say what is wrong with a manifest: a type, or a name or path that leads out of its folder; "" for a sound one."""
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
    """Say why a path may lead out of its folder, or name another file on another system; "" where it cannot."""
    if not path or any(part in ("", ".", "..") for part in path.split("/")):
        return "expected names with one '/' between them, none of them '.' or '..'"
    if "\\" in path or not path.isprintable():
        return "expected printable characters, and no backslash"
    return ""


def _clash(paths: Sequence[str]) -> str:
    """Return the first path that occurs twice, or is the folder of another path; "" where there is none."""
    seen: set[str] = set()
    folders = {
        "/".join(parts[:length]) for parts in (path.split("/") for path in paths) for length in range(1, len(parts))
    }
    for path in paths:
        if path in seen or path in folders:
            return path
        seen.add(path)
    return ""
