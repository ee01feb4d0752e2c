"""The project in the working folder: `Pulumi.yaml`, where its backend and passphrase are, and the selected stack."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from common.atomic_files import write_whole
from engine.errors import CLI_HINT, EngineError
from engine.state.project_config import ProjectConfig


@dataclass(frozen=True)
class Project:
    """A folder with a `Pulumi.yaml`.

    `main` is the program, a folder with a `__main__.py` or a file; `stacks` the folder of the stacks' settings files;
    `config` what the project declares for all of them; `provider_folders` those of the providers that it names by their
    path, by package; `preload` the modules that `runtime.options.preload` has the engine import ahead of the program.
    """

    root: Path
    name: str
    main: Path
    stacks: Path
    backend_url: str
    config: ProjectConfig
    provider_folders: Mapping[str, Path]
    preload: tuple[str, ...] = ()

    @classmethod
    def find(cls, start: Path, environment: Mapping[str, str] = os.environ) -> Project:
        """Return the project that contains the folder `start`.

        Raises:
            EngineError: There is none, or its file is not as expected.
        """
        for folder in (start, *start.parents):
            for name in ("Pulumi.yaml", "Pulumi.yml"):
                if (folder / name).is_file():
                    return cls._read(folder / name, environment)
        raise EngineError(
            f"no Pulumi.yaml project file found (searching upwards from {start}). Run this in a project's folder."
        )

    @classmethod
    def _read(cls, path: Path, environment: Mapping[str, str]) -> Project:
        from engine.state.stack_file import load_yaml

        document = load_yaml(path)
        if not isinstance(document, dict) or not isinstance(document.get("name"), str):
            raise EngineError(f"'{path}' has no 'name'.")
        runtime = document.get("runtime")
        language = runtime.get("name") if isinstance(runtime, dict) else runtime
        if language != "python":
            raise EngineError(f"'{path}' has the runtime '{language}'; this engine runs 'python' only. {CLI_HINT}")
        root = path.parent
        return cls(
            root=root,
            name=document["name"],
            main=root / document.get("main", "."),
            stacks=root / document.get("stackConfigDir", "."),
            backend_url=_backend_url(root, document, environment),
            config=ProjectConfig.read(path, document["name"], document.get("config")),
            provider_folders={
                **_package_folders(path, document.get("packages")),
                **_provider_folders(path, document.get("plugins")),
            },
            preload=_preload(path, runtime.get("options") if isinstance(runtime, dict) else None),
        )

    @property
    def folder(self) -> Path:
        """The program's folder."""
        return self.main if self.main.is_dir() else self.main.parent

    @property
    def file(self) -> Path:
        """The project's file."""
        return next(path for name in ("Pulumi.yaml", "Pulumi.yml") if (path := self.root / name).is_file())

    def stack_file(self, stack: str) -> Path:
        """Return the place of a stack's settings file."""
        return self.stacks / f"Pulumi.{stack}.yaml"

    def passphrase(self, environment: Mapping[str, str] = os.environ) -> str:
        """Return the passphrase of the project's secrets: the environment's, or the project's own."""
        if "PULUMI_CONFIG_PASSPHRASE" in environment:
            return environment["PULUMI_CONFIG_PASSPHRASE"]
        own = self.root / ".var" / "passphrase"
        named = environment.get("PULUMI_CONFIG_PASSPHRASE_FILE")
        path = Path(named) if named else own
        if not named:
            try:
                write_whole(own, secrets.token_urlsafe(32), mode=0o600, replace=False)
            except FileExistsError:
                pass
            except OSError as error:
                raise EngineError(f"The passphrase '{own}' cannot be made: {error.strerror}.") from None
        try:
            text = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise EngineError(f"The passphrase file '{path}' cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise EngineError(f"The passphrase file '{path}' is not UTF-8 text.") from None
        if not text and path.resolve() == own.resolve():
            raise EngineError(
                f"The passphrase file '{path}' is empty, as after a full disk. Put the passphrase back, or remove the "
                "file where nothing is encrypted yet: the next run makes another."
            )
        return text

    def _selection(self, environment: Mapping[str, str]) -> Path:
        digest = hashlib.sha1(str(self.file).encode(), usedforsecurity=False).hexdigest()
        return _home(environment) / "workspaces" / f"{self.name}-{digest}-workspace.json"

    def selected_stack(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """Return the stack that `stack select` chose for this backend, by this engine or the CLI."""
        settings = self._selections(environment)
        stacks = settings.get("stacks")
        name = (stacks.get(self.backend_url) if isinstance(stacks, dict) else None) or settings.get("stack")
        return name if isinstance(name, str) else None

    def select_stack(self, name: str | None, environment: Mapping[str, str] = os.environ) -> None:
        """Choose the stack for this backend, as `stack select` does; None for none."""
        settings = self._selections(environment)
        known = settings.get("stacks")
        stacks = settings["stacks"] = known if isinstance(known, dict) else {}
        if name is None:
            settings.pop("stack", None)
            stacks.pop(self.backend_url, None)
        else:
            stacks[self.backend_url] = name
        write_whole(self._selection(environment), json.dumps(settings, indent=4) + "\n")

    def _selections(self, environment: Mapping[str, str]) -> dict[str, Any]:
        try:
            settings = json.loads(self._selection(environment).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            settings = {}
        return settings if isinstance(settings, dict) else {}


def _provider_folders(path: Path, plugins: Any) -> dict[str, Path]:
    """Return the folders that `plugins.providers` of a project's file names, by the provider's name."""
    providers = plugins.get("providers") if isinstance(plugins, dict) else plugins
    entries = providers if isinstance(providers, list) else [] if providers is None else [providers]
    folders = {}
    for entry in entries:
        name, folder = (entry.get("name"), entry.get("path")) if isinstance(entry, dict) else (None, None)
        if not (isinstance(name, str) and name and isinstance(folder, str) and folder):
            raise EngineError(
                f"'{path}': plugins: {entry!r} is no provider. Expected a list 'providers:' of entries such as "
                "{name: triton, path: provider}."
            )
        folders[name] = path.parent / folder
    return folders


def _package_folders(path: Path, packages: Any) -> dict[str, Path]:
    """Return the folders that `packages` of a project's file names, as `pulumi package add <path>` writes them.

    Packages from elsewhere are left out: their plugins are installed, or missing.
    """
    if not isinstance(packages or {}, dict):
        raise EngineError(f"'{path}': packages is {packages!r}. Expected folders by package, such as 'triton: ../..'.")
    sources = {
        name: entry.get("source") if isinstance(entry, dict) else entry for name, entry in (packages or {}).items()
    }
    return {
        str(name): path.parent / source
        for name, source in sources.items()
        if isinstance(source, str) and source.startswith(("./", "..", "/"))
    }


def _preload(path: Path, options: Any) -> tuple[str, ...]:
    """Return the modules that the program's runs share. The CLI takes the option and makes no use of it."""
    modules = options.get("preload") if isinstance(options, dict) else None
    if not isinstance(modules or [], list) or not all(isinstance(module, str) for module in modules or []):
        raise EngineError(f"'{path}': runtime: preload is {modules!r}. Expected a list of modules, such as [settings].")
    return tuple(modules or ())


def _home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi")


def _backend_url(root: Path, document: dict[str, Any], environment: Mapping[str, str]) -> str:
    """Return the CLI's order: the environment, the project, the last login; and then the project's own folder."""
    if url := environment.get("PULUMI_BACKEND_URL"):
        return url
    backend = document.get("backend")
    if isinstance(backend, dict) and (url := backend.get("url")):
        return str(url)
    try:
        credentials = json.loads((_home(environment) / "credentials.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        credentials = {}
    current = credentials.get("current") if isinstance(credentials, dict) else None
    return str(current) if current else f"file://{quote(str(root / '.var' / 'backend'))}"
