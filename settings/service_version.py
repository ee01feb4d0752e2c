"""A version of the service: what a stack's settings say of it, and its place before what they say later.

    settings ──► content_of ──► content.json, source.zip, locks/ ──► bundle.service_versions, once it serves
    deployment.version: 7 ──► settings_of_version ──► the stack's values with those of version 7 in their place

A version decides what is served and by what: models, script, environment, resources and limits, and the image where one
was pushed. Everything else (target, ports, keys, a node pool's marks, the gates of a rollout) stays the stack's. A
version has no secret: of a variable whose name or value says that it is one, it has the name alone.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bundle.registry import RegistryError
from bundle.service_versions import ServiceVersion, ServiceVersions
from common.atomic_files import write_whole
from common.part import Part
from common.redaction import credential_in, names_secret
from environment.package_lock import Lock
from environment.source_archive import unpack
from environment.source_digest import digest_of
from settings.errors import Mistake, SettingsError
from settings.requirements_file import pip_packages
from settings.schema import Settings, Target
from settings.service_groups import Limits, Resources

__all__ = [
    "CONTENT",
    "LOCKS",
    "SOURCE",
    "StackId",
    "VersionContent",
    "VersionedEnvironment",
    "VersionedModel",
    "VersionedScript",
    "content_of",
    "packages_in",
    "read_content",
    "settings_of_version",
    "versions_of",
]

CONTENT, SOURCE, LOCKS = "content.json", "source.zip", "locks"
"""The files of a version: its content, its script's folder and the folder of its locks."""

_SHOWN = 12  # digits of a digest
_PATH = "deployment.version"


@dataclass(frozen=True)
class StackId:
    """A stack, which tells its services from those of others in the same registry."""

    project: str
    stack: str


class VersionedModel(Part):
    """A registered version of a model."""

    name: str
    version: int
    digest: str

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


class VersionedScript(Part):
    """An entry script: its file in its folder, and the digest of the folder's files."""

    file: str
    digest: str


class VersionedEnvironment(Part):
    """An environment as settings declare it; of the variables `withheld` the version has no value."""

    name: str
    clone: str | None = None
    pip_packages: list[str] = []
    variables: dict[str, str] = {}
    withheld: list[str] = []


class VersionContent(Part):
    """What a version decides.

    Attributes:
        resources: The settings of this group that the stack's file gave.
        limits: The same of this group.
        base_image: The setting of this name.
        image: The service's image by digest, where it is in a repository, or "".
        locks: The SHA-256 of each lock, by the name of its file.
    """

    models: list[VersionedModel]
    script: VersionedScript | None = None
    environment: VersionedEnvironment
    resources: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    base_image: str | None = None
    image: str = ""
    locks: dict[str, str] = {}

    def to_bytes(self) -> bytes:
        """Write the content as the registry keeps it: the same content, the same bytes."""
        text = json.dumps(self.model_dump(mode="json", by_alias=True), indent=1, sort_keys=True)
        return f"{text}\n".encode()

    @property
    def environment_digest(self) -> str:
        """The digest of the environment and its locks, shortened for people."""
        return _digest(self.environment.model_dump(), self.locks)

    @property
    def settings_digest(self) -> str:
        """The digest of the settings that shape how it serves, shortened for people."""
        return _digest(self.resources, self.limits, self.base_image)


def _digest(*made_of: object) -> str:
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:_SHOWN]


def content_of(settings: Settings, models: Sequence[VersionedModel], *, image: str = "") -> VersionContent:
    """Give the content of the version that a service's settings make, without locks."""
    environment, deployment = settings.environment, settings.deployment
    variables = environment.variables
    withheld = sorted(name for name, value in variables.items() if names_secret(name) or credential_in(value))
    given = deployment.model_dump(mode="json", by_alias=True, exclude_unset=True)
    script = None
    if settings.entry_script is not None:
        script = VersionedScript(
            file=settings.entry_script, digest=digest_of(Path(settings.source_directory).resolve())
        )
    return VersionContent(
        models=list(models),
        script=script,
        environment=VersionedEnvironment(
            name=environment.name,
            clone=environment.clone,
            pip_packages=pip_packages(environment),
            variables={name: value for name, value in variables.items() if name not in withheld},
            withheld=withheld,
        ),
        resources={name: given[name] for name in _names(Resources) if name in given},
        limits={name: given[name] for name in _names(Limits) if name in given},
        base_image=settings.image.base_image,
        image=image,
    )


def _names(group: type[Resources | Limits]) -> list[str]:
    return [str(field.alias) for field in group.model_fields.values()]


def versions_of(settings: Settings, stack: StackId) -> ServiceVersions:
    """Give the versions of a stack's service."""
    return ServiceVersions(settings.registry, project=stack.project, stack=stack.stack, service=settings.service_name)


def read_content(versions: ServiceVersions, version: ServiceVersion) -> VersionContent:
    """Read a version's content.

    Raises:
        RegistryError: It was changed, or another release of this project kept it.
    """
    try:
        return VersionContent.model_validate_json(versions.read(version, CONTENT))
    except ValidationError:
        raise RegistryError(
            f"version {version.number} of service '{versions.service}' was kept by another release of this project, "
            "and this one cannot read it; deploy it by that release"
        ) from None


def packages_in(versions: ServiceVersions, version: ServiceVersion, content: VersionContent) -> dict[str, str]:
    """Give a version's locked packages, each with its version."""
    texts = [versions.read(version, f"{LOCKS}/{name}").decode() for name in content.locks]
    return {package: locked for text in texts for package, locked in Lock(text).packages.items()}


def settings_of_version(
    values: Mapping[str, Any], settings: Settings, *, subject: str, versions: ServiceVersions
) -> dict[str, Any]:
    """Put a version of the service in the place of what a stack's file says of it.

    Its script and its locks come to the state directory's caches.

    Args:
        values: The stack's settings as its file has them.
        settings: The same, checked; `deployment.version` names the version.
        subject: What has the settings, as messages name it.
        versions: The service's versions.

    Raises:
        SettingsError: There is no such version, or it cannot be deployed from here.
    """
    number = settings.deployment.version or 0
    try:
        version = versions.find(number)
        if version is None:
            raise SettingsError(subject, [_unknown(number, versions)])
        content = read_content(versions, version)
        _unpack(versions, version, content, Path(settings.state_directory) / _cache(versions, version))
    except RegistryError as error:
        raise SettingsError(subject, [Mistake(path=_PATH, value=str(number), expected=str(error))]) from None
    if missing := [name for name in content.environment.withheld if name not in settings.environment.variables]:
        raise SettingsError(subject, [_withheld(number, name) for name in missing])
    decided = {"models", "environment", "entryScript", "sourceDirectory", "image"}
    place = f"{settings.state_directory.written}/{_cache(versions, version)}"
    return {
        **{name: value for name, value in values.items() if name not in decided},
        "models": [str(model) for model in content.models],
        "environment": _environment(content, settings, f"{place}/{LOCKS}"),
        "deployment": _deployment(content, values),
        **({"entryScript": content.script.file, "sourceDirectory": f"{place}/source"} if content.script else {}),
        **_image(content, settings, values),
    }


def _unknown(number: int, versions: ServiceVersions) -> Mistake:
    known = [str(version.number) for version in versions.every()]
    expected = f"expected one of {', '.join(known)}" if known else "no version is kept yet: leave it out"
    return Mistake(
        path=_PATH,
        value=str(number),
        expected=f"service '{versions.service}' has no such version in {versions.url}; {expected}",
    )


def _withheld(number: int, name: str) -> Mistake:
    expected = f"version {number} has it, and no version keeps what may be a secret; set its value here"
    return Mistake(path=f"environment.variables.{name}", expected=expected)


def _cache(versions: ServiceVersions, version: ServiceVersion) -> str:
    digest = version.digest.removeprefix("sha256:")[:_SHOWN]
    return f"cache/services/{versions.service}-{version.number}-{digest}"


def _unpack(versions: ServiceVersions, version: ServiceVersion, content: VersionContent, place: Path) -> None:
    if content.script is not None:
        unpack(versions.read(version, SOURCE), place / "source", content.script.digest)
    for name in content.locks:
        write_whole(place / LOCKS / Path(name).name, versions.read(version, f"{LOCKS}/{name}"), mode=0o600)


def _environment(content: VersionContent, settings: Settings, locks: str) -> dict[str, Any]:
    made = content.environment
    withheld = {name: settings.environment.variables[name] for name in made.withheld}
    return {
        "name": made.name,
        **({"clone": made.clone} if made.clone else {}),
        **({"pipPackages": made.pip_packages} if made.pip_packages else {}),
        **({"variables": {**made.variables, **withheld}} if made.variables or withheld else {}),
        **({"lockDirectory": locks} if content.locks else {}),
    }


def _deployment(content: VersionContent, values: Mapping[str, Any]) -> dict[str, Any]:
    decided = {*_names(Resources), *_names(Limits)}
    kept = {name: value for name, value in values["deployment"].items() if name not in decided}
    return {**kept, **content.resources, **content.limits}


def _image(content: VersionContent, settings: Settings, values: Mapping[str, Any]) -> dict[str, Any]:
    """Name the pushed image: nothing is built then. What was not pushed is built again, from the same locks."""
    if settings.deployment.target is Target.PROCESS:
        return {"image": values["image"]} if "image" in values else {}  # a rule of its own tells
    image = {name: value for name, value in values.get("image", {}).items() if name not in ("baseImage", "reference")}
    if content.image:
        image.pop("repository", None)
        image["reference"] = content.image
    elif content.base_image:
        image["baseImage"] = content.base_image
    return {"image": image} if image else {}
