"""What an image is built from: a Dockerfile and a folder that holds the files it names and no other."""

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

_LONG_AGO = 315_532_800  # 1980: the same content makes the same layer, whenever it is written


@dataclass(frozen=True)
class BuildContext:
    """A Dockerfile and its files: path in the context to a text or to a file of this machine.

    `digest` is of everything that decides the image's content.
    """

    dockerfile: str
    files: Mapping[str, str | Path]
    digest: str

    def write(self, folder: Path) -> None:
        """Make `folder` hold this context and nothing else; a context that was there is replaced whole.

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
    """The context of an environment's image; `curated` locks its curated packages alone, `packages` all of them."""
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
    """A registered bundle as files: its folder on this machine and the paths in there, its digest, who serves it."""

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
    """The context of a service's image; `probes` are the files of `serving.probing.probe`, by their paths in the image.

    Without `holds_models` the bundles' files are left out, for a Triton that reads them from an object store.
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
