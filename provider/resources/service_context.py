"""What a service's image is built from, as a folder of this machine."""

import json
import shutil
from functools import cached_property
from pathlib import Path

import pulumi

from bundle.probe_questions import declared_versions
from bundle.registry import Registered, Registry
from common.part import Part
from environment.build_context import BuildContext, ServedFiles, service_context
from environment.image_layout import MODELS, PROBE_SCORER, PROBE_TRITON, SCORER_PORT, TRITON_HTTP_PORT
from provider.declaration import Declaration
from provider.resource_type import ResourceType, Say
from targets.served import EntryScript, ServedBundle

__all__ = ["ServiceContext", "ServiceContextType"]


class Inputs(Part):
    """The bundles and the entry script that the image holds, on the environment's image.

    `folder` gets what the image is built from. Without `holds_models` Triton reads the bundles from their object store.
    """

    bundles: list[ServedBundle]
    environment_image: str
    folder: Path
    holds_models: bool
    entry_script: EntryScript | None = None


class Outputs(Part):
    """The folder, and the digest of what decides the image's content."""

    path: str
    digest: str


class ServiceContextType(ResourceType[Inputs, Outputs]):
    """A service's Dockerfile and its files: the registered bundles, the script's folder, the probe's files."""

    inputs, outputs = Inputs, Outputs

    def id(self, inputs: Inputs) -> str:
        return "service"

    def create(self, inputs: Inputs, say: Say) -> Outputs:
        content = _Content(inputs)
        context = content.context
        context.write(inputs.folder)
        if inputs.holds_models:
            for bundle, registered in content.registered:  # hashed as copied: what the image holds was registered
                copy = inputs.folder / Path(MODELS).name / bundle.name / str(registered.version)
                Registry(bundle.registry).lay_out(registered, bundle.path, copy)
        return Outputs(path=str(inputs.folder), digest=context.digest)

    def delete(self, inputs: Inputs, known: Outputs, say: Say) -> None:
        shutil.rmtree(known.path, ignore_errors=True)

    def drifted(self, inputs: Inputs, known: Outputs) -> frozenset[str]:
        if not Path(known.path, "Dockerfile").is_file():
            return frozenset({"path"})
        # A new version of this project may write another Dockerfile or another probe.
        return frozenset() if _Content(inputs).context.digest == known.digest else frozenset({"digest"})


class _Content:
    """The bundles as the registry has them, asked once, and the context that they make."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    @cached_property
    def registered(self) -> list[tuple[ServedBundle, Registered]]:
        return [(bundle, Registry(bundle.registry).get(bundle.name, bundle.version)) for bundle in self._inputs.bundles]

    @property
    def context(self) -> BuildContext:
        script = self._inputs.entry_script
        return service_context(
            [
                ServedFiles(
                    name=bundle.name,
                    version=bundle.version,
                    digest=bundle.digest,
                    folder=bundle.path,
                    files=[file.path for file in registered.manifest.files],
                    framework=bundle.framework,
                )
                for bundle, registered in self.registered
            ],
            environment_image=self._inputs.environment_image,
            probes=self._probes(),
            entry_script=script.file if script else None,
            holds_models=self._inputs.holds_models,
            source_directory=script.source_directory if script else None,
        )

    def _probes(self) -> dict[str, str]:
        """The files of `serving.probing.probe`, by their paths in the image."""
        served = [registered for bundle, registered in self.registered if bundle.framework == "Multi"]
        models = [model for registered in served for model in declared_versions(registered)]
        probes = {}
        if models:
            triton = {"url": f"http://127.0.0.1:{TRITON_HTTP_PORT}", "models": models}
            probes[PROBE_TRITON] = json.dumps({"triton": triton, "scorer": None})
        if (script := self._inputs.entry_script) is not None:
            scorer = {"url": f"http://127.0.0.1:{SCORER_PORT}", "golden": json.loads(script.golden) or None}
            probes[PROBE_SCORER] = json.dumps({"triton": None, "scorer": scorer})
        return probes


class ServiceContext(Declaration):
    """A folder that a service's image is built from."""

    Inputs, Outputs = Inputs, Outputs
    path: pulumi.Output[str]
    digest: pulumi.Output[str]
