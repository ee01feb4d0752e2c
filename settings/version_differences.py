"""What goes back, or forth, from one version of a service to another, in words for a preview."""

from collections.abc import Iterator, Mapping
from typing import Any

from bundle.registry import RegistryError
from bundle.service_versions import ServiceVersion, ServiceVersions
from settings.schema import Settings
from settings.service_version import StackId, VersionContent, packages_in, read_content, versions_of

__all__ = ["called", "differences", "last_deployed", "version_notes"]

_MOST = 6
"""Packages or variables that are named; more are counted."""


def version_notes(settings: Settings, stack: StackId) -> list[str]:
    """Say at preview what `deployment.version` brings back, and how to go forward again."""
    if settings.deployment.version is None:
        return []
    versions = versions_of(settings, stack)
    version = versions.find(settings.deployment.version)
    if version is None:  # the resource that keeps versions refuses it
        return []
    forward = (
        "its models, script, environment, resources and limits count, not the file's; without the line "
        "deployment.version, `make up` goes forward to those"
    )
    former = last_deployed(versions)
    if former is None or former.number == version.number:
        return [f"deployment.version: {called(version)} stays: {forward}"]
    changes = ", ".join(differences(versions, former, version))
    return [f"deployment.version: {called(version)} in place of version {former.number}: {changes}; {forward}"]


def called(version: ServiceVersion) -> str:
    """Name a version by its number, its day and its author."""
    return f"version {version.number} of {version.created[:10]} by {version.facts.by}"


def last_deployed(versions: ServiceVersions) -> ServiceVersion | None:
    """Give the version that was deployed last; None where there is none."""
    return max(versions.every(), key=lambda version: version.facts.deployed, default=None)


def differences(versions: ServiceVersions, old: ServiceVersion, new: ServiceVersion) -> list[str]:
    """Say what differs between two versions, a phrase for each kind of thing.

    Raises:
        RegistryError: The new version is damaged.
    """
    after = read_content(versions, new)
    try:
        before = read_content(versions, old)
        packages = packages_in(versions, old, before)
    except RegistryError:
        return [f"version {old.number} cannot be read, so nothing is compared"]
    found = [_models(before, after), _script(before, after)]
    found.append(_changes("packages", packages, packages_in(versions, new, after)) or "packages the same")
    found.append(_changes("variables", before.environment.variables, after.environment.variables))
    settings = [{**content.resources, **content.limits} for content in (before, after)]
    found.append(_changes("settings", *settings))
    if before.base_image != after.base_image:
        found.append(f"base image {before.base_image or 'the curated one'} -> {after.base_image or 'the curated one'}")
    return [phrase for phrase in found if phrase]


def _models(before: VersionContent, after: VersionContent) -> str:
    old, new = ({model.name: str(model) for model in content.models} for content in (before, after))
    changed = [
        f"{old.get(name, 'none')} -> {new.get(name, 'none')}"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]
    return f"models {', '.join(changed)}" if changed else "models the same"


def _script(before: VersionContent, after: VersionContent) -> str:
    if before.script == after.script:
        return "script the same" if after.script else ""
    if before.script is None:
        return "with a script"
    return "script changed" if after.script else "without a script"


def _changes(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    changed = list(_changed(old, new))
    more = f" and {len(changed) - _MOST} more" if len(changed) > _MOST else ""
    return f"{what} {', '.join(changed[:_MOST])}{more}" if changed else ""


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({**old, **new}):
        if name not in new:
            yield f"-{name}"
        elif name not in old:
            yield f"+{name}"
        elif old[name] != new[name]:
            yield f"{name} {old[name]} -> {new[name]}"
