"""The versions of a service: what each deployment was made of, kept whole in the registry of its models.

    <registry>/.services/<project>/<stack>/<service>/<version>/...      as the registry keeps a model's version

A version is its content, as a model's version is: the same content is the same version, changed content the next one.
The facts of its deployment (when, by whom, what it passed) are no content, and lie beside it as a model's tags do.
No model has such a name: it would start with a dot.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from bundle.bundle_types import Bundle, BundleFile
from bundle.registry import Registered, Registry, RegistryError, content_digest
from bundle.version_store import PROPERTIES

__all__ = ["Facts", "ServiceVersion", "ServiceVersions"]

_FOLDER = ".services"


@dataclass(frozen=True)
class Facts:
    """What is told of a version beside its content.

    Attributes:
        by: Who deployed it first, as `user@host`.
        commit: The project's commit at that time; "" where the project is no repository of Git.
        branch: The branch of the commit, or "".
        passed: What it passed before it was kept, for people.
        deployed: When it was deployed last, in ISO 8601.
    """

    by: str
    commit: str = ""
    branch: str = ""
    passed: str = ""
    deployed: str = ""


@dataclass(frozen=True)
class ServiceVersion:
    """A kept version of a service; `created` says when it was deployed first, in ISO 8601."""

    number: int
    digest: str
    created: str
    facts: Facts
    registered: Registered = field(repr=False, compare=False)


class ServiceVersions(Registry):
    """The versions of one service of a stack.

    Args:
        url: The registry of the service's models.
        project: The name of the Pulumi project.
        stack: The stack's name.
        service: The service's name.

    Example:
        versions = ServiceVersions("s3://models", project="triton-serving", stack="prod", service="triton-webservice")
        version = versions.keep({"content.json": b"{}"}, Facts(by="ann@host"))
        versions.read(version, "content.json")
    """

    def __init__(self, url: str, *, project: str, stack: str, service: str) -> None:
        super().__init__(f"{url.rstrip('/')}/{_FOLDER}/{project}/{stack}")
        self.service = service

    def every(self) -> list[ServiceVersion]:
        """List the versions that are kept, the newest last."""
        found = []
        for number in self._numbers():
            try:
                found.append(self._told(self._registered(self._manifest(self.service, number))))
            except RegistryError:
                if number in self._numbers():  # nobody pruned it meanwhile
                    raise
        return found

    def find(self, number: int) -> ServiceVersion | None:
        """Find a version by its number, with none of its files missing or changed.

        Raises:
            RegistryError: The version is damaged, or the registry cannot be read.
        """
        return self._told(self.get(self.service, number)) if number in self._numbers() else None

    def keep(self, files: Mapping[str, bytes | Path], facts: Facts) -> ServiceVersion:
        """Keep what was deployed: under the version that has this content, or under the next one.

        Args:
            files: The content, by path.
            facts: Of this deployment. A version that is known keeps its first ones, but for the time.

        Raises:
            RegistryError: The registry cannot be written.
        """
        bundle = Bundle(Path(), (), tuple(_file(path, content) for path, content in sorted(files.items())))
        digest = content_digest(bundle)
        known = next((version.facts for version in self.every() if version.digest == digest), facts)
        tags = {**asdict(known), "deployed": _now()}
        return self._told(self.register(self.service, bundle, tags=tags))

    def mark_deployed(self, version: ServiceVersion) -> None:
        """Note that a version was deployed again."""
        properties = {"tags": {**asdict(version.facts), "deployed": _now()}, "description": "", "framework": ""}
        with self._errors():
            self._store.write(self.service, version.number, PROPERTIES, (json.dumps(properties) + "\n").encode())

    def read(self, version: ServiceVersion, path: str) -> bytes:
        """Read a file of a version.

        Raises:
            RegistryError: The version has no such file, or the file was changed.
        """
        manifest = version.registered.manifest
        record = next((record for record in manifest.files if record.path == path), None)
        if record is not None:
            with self._errors(), self._store.open(manifest, path) as stream:
                content: bytes = stream.read()
            if hashlib.sha256(content).hexdigest() == record.sha256:
                return content
        what = "has other content than was kept" if record else "is not part of the version"
        raise RegistryError(f"{version.registered.path}/{path}: {what}; deploy another version (make versions)")

    def prune(self, kept: int, serving: int) -> list[int]:
        """Remove the oldest versions, never the one that serves; gives the numbers of those that went.

        Args:
            kept: How many stay. The newest always does, so that no number is given twice.
            serving: The number of the version that serves.
        """
        every = self.every()
        old = [version for version in every[: -max(1, kept)] if version.number != serving]
        for version in old:
            with self._errors():
                self._store.remove(version.registered.manifest)
        return [version.number for version in old]

    def _numbers(self) -> list[int]:
        with self._errors():
            return self._store.versions(self.service)

    def _told(self, registered: Registered) -> ServiceVersion:
        known = {name: registered.tags.get(name, "") for name in Facts.__dataclass_fields__}
        return ServiceVersion(
            number=registered.version,
            digest=registered.digest,
            created=registered.manifest.created,
            facts=Facts(**known),
            registered=registered,
        )


def _file(path: str, content: bytes | Path) -> BundleFile:
    return BundleFile(content, path) if isinstance(content, Path) else BundleFile(Path(), path, content)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")
