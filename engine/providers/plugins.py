"""Finds and starts the processes of providers."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from engine.errors import EngineError
from engine.providers import plugin_folder
from engine.providers.children import Children
from engine.providers.provider import Provider
from engine.state.checkpoint import DYNAMIC_PACKAGE


class PluginMissing(EngineError):
    """A provider whose plugin is not installed."""


class Plugins:
    """Finds and starts provider processes.

    `folder` is the program's; `own` are the folders of the project's own providers, by package.
    """

    def __init__(
        self,
        children: Children,
        folder: Path,
        own: Mapping[str, Path],
        environment: Mapping[str, str],
        engine_address: str,
        on_line: Callable[[str], None],
    ) -> None:
        self._children = children
        self._folder = folder
        self._own = own
        self._environment = environment
        self._engine_address = engine_address
        self._on_line = on_line
        self._lock = threading.Lock()
        self._idle: dict[tuple[str, str], list[Provider]] = {}

    def is_own(self, package: str) -> bool:
        """Tell whether the package's provider needs no installation: the project has it, or Pulumi's SDK."""
        return package in self._own or package == DYNAMIC_PACKAGE

    def prestart(self, package: str) -> None:
        """Start a process of the package's provider for whoever takes it first.

        Raises:
            EngineError: As `start`.
        """
        self.keep(self.start(package))

    def keep(self, provider: Provider) -> None:
        """Keep the provider's process for the next who needs one of its kind."""
        with self._lock:
            self._idle.setdefault((provider.package, provider.version), []).append(provider)

    def take(self, package: str, version: str, urn: str) -> Provider:
        """Take a process of the package's provider that was kept, or a new one.

        Args:
            package: The provider's name.
            version: The version of the plugin, empty for any.
            urn: The resource that stands for the provider: a process that was configured serves its own alone.

        Raises:
            EngineError: As `start`.
        """
        with self._lock:
            idle = self._idle.get((package, "" if package in self._own else version), [])
            for provider in idle:
                if provider.urn in ("", urn):
                    idle.remove(provider)
                    return provider
        return self.start(package, version)

    def start(self, package: str, version: str = "") -> Provider:
        """Start a new process of the package's provider.

        Args:
            package: The provider's name, such as `kubernetes`.
            version: The version of the plugin, empty for any.

        Returns:
            The provider, which need not be ready yet.

        Raises:
            PluginMissing: The plugin is not installed.
            EngineError: The folder of the project's own provider is not as expected.
        """
        root = self._folder
        if package in self._own:
            root = self._own[package]
            command = [*plugin_folder.command(package, root), self._engine_address]
            version = ""  # the folder has one
        elif package == DYNAMIC_PACKAGE:
            command = [sys.executable, "-u", "-m", "pulumi.dynamic", self._engine_address]
        else:
            command = [str(self._find(package, version)), self._engine_address]
        child = self._children.start(command, self._folder, self._environment, self._on_line)
        return Provider(package, version, child, root, self._engine_address)

    def _find(self, package: str, version: str) -> Path:
        name = f"pulumi-resource-{package}"
        for folder in os.get_exec_path(dict(self._environment)):
            if os.access(Path(folder, name), os.X_OK):
                return Path(folder, name)
        home = Path(self._environment.get("PULUMI_HOME") or Path.home() / ".pulumi")
        for folder_name in [f"resource-{package}-v{version}"] if version else _installed(home / "plugins", package):
            path = home / "plugins" / folder_name / name
            if os.access(path, os.X_OK):
                return path
        wanted = f"{package} v{version}" if version else package
        raise PluginMissing(
            f"The provider plugin '{wanted}' is missing: '{name}' is neither on PATH nor in '{home / 'plugins'}'. "
            f"The Pulumi CLI installs plugins (https://www.pulumi.com/docs/install/): "
            f"pulumi plugin install resource {package}" + (f" v{version}" if version else "")
        )


def _installed(folder: Path, package: str) -> list[str]:
    found = [path.name for path in folder.glob(f"resource-{package}-v*") if path.is_dir()]
    return sorted(found, key=lambda name: [int(part) for part in re.findall(r"\d+", name)], reverse=True)
