"""Build contexts of images: a Dockerfile, and a folder with exactly the files that it names."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from environment.curated_clone import Environment
from environment.dockerfile import CURATED_LOCK, FULL_LOCK, environment_dockerfile, service_dockerfile
from environment.image_layout import MODELS, SERVICE
from environment.package_lock import Lock
from environment.source_digest import digest_of, is_executable
from environment.source_folder import read_source

__all__ = ["BuildContext", "ServedFiles", "environment_context", "service_context"]

_LONG_AGO = 315_532_800  # 1980: the same content makes the same layer, whenever somebody writes it


@dataclass(frozen=True)
class BuildContext:
    """A Dockerfile and its files.

    Attributes:
        dockerfile: The Dockerfile's text.
        files: By its path in the context, a file's text, or the file of this machine that has it.
        digest: The digest of everything that decides the image's content.
    """

    dockerfile: str
    files: Mapping[str, str | Path]
    digest: str

    def write(self, folder: Path) -> None:
        """Write this context to a folder, in place of everything that the folder holds.

        Permissions and times are the same on every machine, because they become part of the image.
        """
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            staging = Path(scratch, "context")
            names = sorted({path.split("/")[0] for path in self.files})
            ignore = "".join(f"{line}\n" for line in ("*", *(f"!{name}" for name in names)))
            for path, content in {"Dockerfile": self.dockerfile, ".dockerignore": ignore, **self.files}.items():
                target = staging / path
                target.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, Path):
                    shutil.copyfile(content, target)
                else:
                    target.write_text(content, encoding="utf-8")
                target.chmod(0o755 if isinstance(content, Path) and is_executable(content) else 0o644)
                os.utime(target, (_LONG_AGO, _LONG_AGO))
            for directory in (staging, *(path for path in staging.rglob("*") if path.is_dir())):
                directory.chmod(0o755)
                os.utime(directory, (_LONG_AGO, _LONG_AGO))
            if folder.exists():
                folder.rename(Path(scratch, "replaced"))
            staging.rename(folder)


def environment_context(
    environment: Environment, *, base_image: str, curated: Lock, packages: Lock, serving: Path
) -> BuildContext:
    """Make the context of an environment's image.

    Args:
        environment: The environment.
        base_image: The image to start from, with `python3` and pip.
        curated: The lock of the curated packages alone.
        packages: The lock of all packages.
        serving: The folder of the package `serving`.
    """
    digest = _digest(
        dockerfile=environment_dockerfile(environment, base_image=base_image, digest=""),
        base_image=base_image,
        curated=curated.text,
        packages=packages.text,
        serving=digest_of(serving),
        name=environment.name,
    )
    files: dict[str, str | Path] = {CURATED_LOCK: curated.text, FULL_LOCK: packages.text}
    files |= _folder(serving, "serving")
    return BuildContext(environment_dockerfile(environment, base_image=base_image, digest=digest), files, digest)


@dataclass(frozen=True, kw_only=True)
class ServedFiles:
    """A registered bundle whose files go into an image.

    Attributes:
        name: The bundle's name.
        version: Its version.
        digest: The digest of its content.
        folder: Its folder on this machine.
        files: The paths of its files in that folder.
        framework: The framework that it was registered with.
    """

    name: str
    version: int
    digest: str
    folder: Path
    files: Sequence[str]
    framework: str


def service_context(
    bundles: Sequence[ServedFiles],
    *,
    environment_image: str,
    probes: Mapping[str, str],
    entry_script: str | None = None,
    source_directory: Path | None = None,
    holds_models: bool = True,
) -> BuildContext:
    """Make the context of a service's image.

    Args:
        bundles: The registered bundles.
        environment_image: The image of the environment.
        probes: The texts of the files that `serving.probing.probe` reads, by their paths in the image.
        entry_script: The entry script's path in its folder.
        source_directory: The entry script's folder.
        holds_models: Whether the image holds the bundles' files. Otherwise Triton reads them from an object store.
    """

    def dockerfile(digest: str) -> str:
        return service_dockerfile(
            [(bundle.name, bundle.version, bundle.digest) for bundle in bundles],
            environment_image=environment_image,
            frameworks=[bundle.framework for bundle in bundles],
            digest=digest,
            entry_script=entry_script,
            holds_models=holds_models,
        )

    digest = _digest(
        dockerfile=dockerfile(""),
        probes=dict(probes),
        source=digest_of(source_directory) if source_directory else None,
    )
    files: dict[str, str | Path] = {str(Path(path).relative_to(SERVICE)): text for path, text in probes.items()}
    for bundle in bundles if holds_models else []:
        place = f"{Path(MODELS).name}/{bundle.name}/{bundle.version}"
        files |= {f"{place}/{path}": bundle.folder / path for path in bundle.files}
    if source_directory is not None:
        files |= _folder(source_directory, "source")
    return BuildContext(dockerfile(digest), files, digest)


def _folder(folder: Path, name: str) -> dict[str, str | Path]:
    return {f"{name}/{path.as_posix()}": folder / path for path in read_source(folder).files}


def _digest(**made_of: object) -> str:
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
