"""The registry of models: immutable versions of bundles, by name and number, in a directory or an object store.

A version is its content: the SHA-256 over the paths, sizes and hashes of its files. Registering the same content again
gives the same version; changed content gives the next one. Tags, description and framework are no content: they may
change later, and then lie beside the manifest, in `properties.json`. The interface of a model and its derived golden
inference are no content either: another release of this project may derive them better, and writes `models.json`.

    <registry>/<name>/<version>/manifest.json      the version; never changes
    <registry>/<name>/<version>/properties.json    tags, description and framework, once they changed
    <registry>/<name>/<version>/models.json        the models, once another release described them
    <registry>/<name>/<version>/files/...          the bundle (in an object store: <name>/content/<id>/...)

A service never runs on a version's own files: `Registry.lay_out` copies them for each generation and hashes the copy.
`Registry.get` checks a version faster: no file is missing or added, and each has the registered size. In a directory it
also hashes each file whose time of change differs. Registering the same content again restores lost or damaged files.

    registry = Registry("s3://models", cache=Path(".var/models"))
    registered = registry.register("triton_model", check_layout(Path("model_repository"), target="docker"))
    registered.model_id                                      # triton_model:1
    folder = registry.local_path(registry.get("triton_model"))
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

from bundle.bundle_types import Bundle
from bundle.directory_store import DirectoryStore
from bundle.manifest import (
    NAME,
    FileRecord,
    Manifest,
    ManifestError,
    digest_of,
    hash_stream,
    parse_manifest,
    properties_of,
)
from bundle.manifest_models import ModelSummary, tells, told
from bundle.object_store import ObjectStore
from bundle.problems import listed, nearest
from bundle.version_content import Change, changes, copy_out
from bundle.version_store import MANIFEST, MODELS, PROPERTIES, ChangedError, Store
from common.errors import UserError
from common.redaction import redacted

_OTHER_CONTENT = "has other content than was registered"
_ATTEMPTS = 100
"""The most tries for a version's number while others register under the same name."""


class RegistryError(UserError):
    """A model cannot be registered or read; the message is one line: what is wrong, what was expected, the fix."""

    def __init__(self, text: str) -> None:
        super().__init__(redacted(text))


@dataclass(frozen=True)
class Registered:
    """A registered version.

    Attributes:
        name: The model's name.
        version: The version's number.
        digest: The digest of its content.
        path: The folder with its files, a path or a URL. It contains `triton` where the bundle has Triton's layout.
        models: Its models as JSON objects, see `Model.to_json`; `goldenReason` says why one has no golden inference.
        tags: Its tags.
        description: Its description.
        framework: Its framework, as the user names it.
        manifest: The manifest of its registration.
    """

    name: str
    version: int
    digest: str
    path: str
    models: tuple[Mapping[str, Any], ...]
    tags: Mapping[str, str]
    description: str
    framework: str
    manifest: Manifest = field(repr=False)

    @property
    def summary(self) -> list[ModelSummary]:
        """Describe its models for people and other stacks."""
        return [
            {"name": model["name"], "versions": model["versions"], "platform": model["platform"] or model["backend"]}
            for model in self.models
        ]

    @property
    def model_id(self) -> str:
        """Return `name:version`, as Azure writes a registered model."""
        return f"{self.name}:{self.version}"


class Registry:
    """A registry in a directory or an object store; the module's head shows its files and an example.

    Args:
        url: A path, or a URL that fsspec knows: `file://`, `s3://`, `gs://`, `abfs://`, `memory://`.
        cache: The directory that `local_path` downloads to. A registry in a directory needs none.

    Raises:
        RegistryError: fsspec does not know the URL, or lacks the package for it.
    """

    def __init__(self, url: str, *, cache: Path | None = None) -> None:
        self.url = redacted(url)
        self.cache = cache
        try:
            filesystem, root = url_to_fs(url)
        except ImportError as error:
            raise RegistryError(f"registry {self.url}: {error}; add the package to the requirements") from None
        except ValueError as error:
            raise RegistryError(f"registry {self.url}: {error}; expected a path or a URL that fsspec knows") from None
        local = "file" in ((filesystem.protocol,) if isinstance(filesystem.protocol, str) else filesystem.protocol)
        self._store: Store = DirectoryStore(Path(root)) if local else ObjectStore(filesystem, root)

    def register(
        self,
        name: str,
        bundle: Bundle,
        *,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        framework: str = "",
    ) -> Registered:
        """Register a bundle, or find the version that has its content already and restore its damaged files.

        An ONNX model without its own golden inference gets a derived one.

        Args:
            name: The model's name.
            bundle: The checked bundle.
            tags: The version's tags.
            description: The version's description.
            framework: The version's framework, as the user names it.

        Raises:
            RegistryError: The name is not valid, a file changed meanwhile, or the registry cannot be written.
        """
        _require_name(name)
        properties = {"tags": dict(tags or {}), "description": description, "framework": framework}
        with self._errors():
            records = tuple(FileRecord.of(file) for file in bundle.files)
            digest = digest_of(records)
            version = self._version_of(name, digest)
            if version is None:
                return self._register(name, bundle, records, digest, properties)
            self._restore(name, version, bundle)
        return self._found(name, version, bundle, properties)

    def _restore(self, name: str, version: int, bundle: Bundle) -> None:
        manifest = self._manifest(name, version)
        damaged = list(self._store.changes(manifest))
        if any(change.record is None for change in damaged):
            return  # `get` reports the added files
        sources = {file.path: file for file in bundle.files}
        for change in damaged:
            if change.record is not None:
                self._store.restore(manifest, change.record, sources[change.record.path])

    def _register(
        self,
        name: str,
        bundle: Bundle,
        records: tuple[FileRecord, ...],
        digest: str,
        properties: Mapping[str, Any],
    ) -> Registered:
        models = tuple(told(model, bundle) for model in bundle.models)
        with self._store.stage(name, bundle.files, records) as staged:
            for _ in range(_ATTEMPTS):
                version = self._store.next_version(name)
                # Look after choosing the number: then no version below it has this content when it is committed.
                registered = self._version_of(name, digest)
                if registered is not None:
                    return self._found(name, registered, bundle, properties)
                manifest = Manifest(
                    name=name,
                    version=version,
                    digest=digest,
                    content=staged.content.format(version=version),
                    created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
                    files=staged.files,
                    models=models,
                    **properties,
                )
                if staged.commit(version, manifest):
                    return self._registered(manifest)
        raise RegistryError(f"{name}: gave up after {_ATTEMPTS} versions registered by others meanwhile; try again")

    def _version_of(self, name: str, digest: str) -> int | None:
        for version in reversed(self._store.versions(name)):
            if self._manifest(name, version).digest == digest:
                return version
        return None

    def _found(self, name: str, version: int, bundle: Bundle, properties: Mapping[str, Any]) -> Registered:
        found = self.get(name, version)
        if not tells(found.models, bundle.models):
            found = replace(found, models=tuple(told(model, bundle) for model in bundle.models))
            with self._errors():
                self._store.write(name, version, MODELS, (json.dumps(found.models, indent=1) + "\n").encode())
        if {"tags": found.tags, "description": found.description, "framework": found.framework} == properties:
            return found
        with self._errors():
            self._store.write(name, version, PROPERTIES, (json.dumps(properties, indent=1) + "\n").encode())
        return replace(found, **properties)

    def get(self, name: str, version: int | None = None) -> Registered:
        """Get a registered version, and check its files as the module's head says.

        Args:
            name: The model's name.
            version: The version's number; by default the latest one.

        Raises:
            RegistryError: The name or the version is not registered, or a registered file was changed.
        """
        registered = self._registered(self._lookup(name, version))
        self._require_unchanged(registered)
        return registered

    def with_digest(self, name: str, digest: str) -> Registered:
        """Get the registered version with this digest.

        Raises:
            RegistryError: No version of that name has it, or a registered file was changed.
        """
        _require_name(name)
        with self._errors():
            version = self._version_of(name, digest)
        if version is None:
            raise RegistryError(f"no version of model '{name}' in {self.url} has the digest {digest}")
        return self.get(name, version)

    def lay_out(self, registered: Registered, folder: Path, target: Path) -> None:
        """Copy a version's files, and hash the copies.

        The server of the copy may write to it: the version stays unchanged.

        Args:
            registered: The version.
            folder: The folder that `local_path` returned for it.
            target: The folder to copy to. Its files that are as registered stay.

        Raises:
            RegistryError: A file was changed or removed; the message names it.
        """
        manifest = registered.manifest
        with self._errors():
            for change in copy_out(folder, manifest, target):
                downloaded = self._store.local_path(manifest) is None
                raise RegistryError(change.explained(manifest, downloaded=downloaded))

    def local_path(self, registered: Registered) -> Path:
        """Return the folder with a version's files on this machine.

        The files of an object store are downloaded and hashed. A download in which a file is missing, or has another
        size, is replaced.

        Raises:
            RegistryError: A file differs from its registration, or there is no cache to download to.
        """
        manifest = registered.manifest
        local = self._store.local_path(manifest)
        if local is not None:
            return local
        if self.cache is None:
            raise RegistryError(
                f"registry {self.url}: is not on this machine; expected a cache directory to download to"
            )
        target = self.cache / f"{manifest.name}-{manifest.version}-{manifest.digest.removeprefix('sha256:')[:12]}"
        with self._errors():
            if target.is_dir() and any(changes(target, manifest.without_times())):
                shutil.rmtree(target)
            if not target.is_dir():
                self._download(manifest, target)
        return target

    def _download(self, manifest: Manifest, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        folder.chmod(0o755)
        try:
            for record in manifest.files:
                path = folder / record.path
                path.parent.mkdir(parents=True, exist_ok=True)
                with self._store.open(manifest, record.path) as source, path.open("xb") as sink:
                    found = hash_stream(source, sink)
                if found != (record.size, record.sha256):
                    change = Change(f"{self._store.location(manifest)}/{record.path}", _OTHER_CONTENT, record)
                    raise RegistryError(change.explained(manifest))
            with contextlib.suppress(OSError):  # another download of the same version was faster
                folder.rename(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _lookup(self, name: str, version: int | None) -> Manifest:
        _require_name(name)
        with self._errors():
            versions = self._store.versions(name)
            if not versions:
                names = self._store.names()
                raise RegistryError(
                    f"model '{name}' is not registered in {self.url}; "
                    f"expected one of {listed(names)}{nearest(name, names)}"
                )
            if version is not None and version not in versions:
                raise RegistryError(
                    f"version {version} of model '{name}' is not registered in {self.url}; "
                    f"expected one of {listed(versions)}"
                )
            return self._manifest(name, versions[-1] if version is None else version)

    def _manifest(self, name: str, version: int) -> Manifest:
        data = self._store.read(name, version, MANIFEST)
        try:
            manifest = parse_manifest(data or b"")
            if (manifest.name, manifest.version) != (name, version):
                raise ManifestError(f"is that of {manifest.name}:{manifest.version}; restore the version's own")
        except ManifestError as error:
            raise RegistryError(f"{self.url}/{name}/{version}/{MANIFEST}: {error}") from None
        return manifest

    def _registered(self, manifest: Manifest) -> Registered:
        properties: dict[str, Any] = {
            "tags": manifest.tags,
            "description": manifest.description,
            "framework": manifest.framework,
        }
        later = self._store.read(manifest.name, manifest.version, PROPERTIES)
        if later is not None:
            try:
                properties = properties_of(json.loads(later))
            except ValueError as error:
                why = str(error) if isinstance(error, ManifestError) else "is damaged: it is no JSON; remove it"
                raise RegistryError(f"{self.url}/{manifest.name}/{manifest.version}/{PROPERTIES}: {why}") from None
        told = self._store.read(manifest.name, manifest.version, MODELS)
        return Registered(
            name=manifest.name,
            version=manifest.version,
            digest=manifest.digest,
            path=self._store.location(manifest),
            models=manifest.models if told is None else tuple(json.loads(told)),
            manifest=manifest,
            **properties,
        )

    def _require_unchanged(self, registered: Registered) -> None:
        with self._errors():
            for change in self._store.changes(registered.manifest):
                raise RegistryError(change.explained(registered.manifest))

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ChangedError as error:
            raise RegistryError(str(error)) from None
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            where = f" ({error.filename})" if error.filename else ""
            raise RegistryError(
                f"registry {self.url}: {reason}{where}; expected a place that can be read and written"
            ) from None


def _require_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise RegistryError(
            f"model name '{name}' is not valid; "
            "expected 1 to 255 letters, digits, '-', '_' and '.', starting with a letter "
            "or a digit"
        )


def content_digest(bundle: Bundle) -> str:
    """Compute the digest that a bundle's version has, or would have, in a registry."""
    return digest_of(tuple(FileRecord.of(file) for file in bundle.files))
