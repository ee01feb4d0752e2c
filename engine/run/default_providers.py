"""The providers that no program declares: one for each package and version, registered on first need."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from functools import cache
from pathlib import Path

from engine.errors import EngineError
from engine.providers.proto import resource_pb2
from engine.run.goals import Goal, Registers
from engine.run.request import version_inputs
from engine.state.checkpoint import DYNAMIC_PACKAGE, PROVIDER_PREFIX, Resource
from engine.state.values import Properties, Secret


class DefaultProviders:
    """The default providers of one operation."""

    def __init__(self, registrations: Registers, info: resource_pb2.DeploymentInfo) -> None:
        self._registrations = registrations
        self._info = info
        self._lock = threading.Lock()
        self._references: dict[tuple[str, str], Future[str]] = {}

    def reference(self, package: str, version: str) -> str:
        """Return the reference of a package's default provider; register it on first need.

        Args:
            package: The package, such as `kubernetes`.
            version: The version that the resource asks for. Where it asks for none, the package's SDK tells it, as
                with the CLI: so a component's children, whose plugin needs no SDK of its own, have their
                component's provider.

        Raises:
            EngineError: The provider cannot be registered.
        """
        version = version or sdk_versions().get(package, "")
        with self._lock:
            known = self._references.get((package, version))
            future = known or Future()
            self._references[package, version] = future
        if known is None:
            try:
                future.set_result(_reference(self._registrations.register(self._goal(package, version))))
            except EngineError as error:
                future.set_exception(error)
        return future.result()

    def _goal(self, package: str, version: str) -> Goal:
        inputs: Properties = {}
        for key, text in self._info.config.items():
            namespace, _, name = key.partition(":")
            if package == DYNAMIC_PACKAGE or namespace == package:
                value = Secret(text) if key in self._info.configSecretKeys else text
                inputs[key if package == DYNAMIC_PACKAGE else name] = value
        if version:
            inputs |= version_inputs(version)
        name = "_".join(["default", *re.split(r"[.+-]", version.removeprefix("v"))]) if version else "default"
        return Goal(f"{PROVIDER_PREFIX}{package}", name, custom=True, inputs=inputs)


@cache
def sdk_versions() -> Mapping[str, str]:
    """Return the versions of the packages whose SDKs are installed, from their `pulumi-plugin.json`."""
    versions: dict[str, str] = {}
    for path in (path for folder in sys.path for path in Path(folder).glob("*/pulumi-plugin.json")):
        try:
            plugin = json.loads(path.read_text(encoding="utf-8"))
            if plugin.get("resource"):
                versions.setdefault(str(plugin["name"]), str(plugin["version"]).removeprefix("v"))
        except (OSError, ValueError, KeyError, AttributeError):
            continue  # what is damaged tells nothing
    return versions


def _reference(provider: Resource) -> str:
    return f"{provider.urn}::{provider.id}"
