"""What images are built from, as folders of this machine."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, Resource, UpdateResult

from bundle.probe import declared_versions
from bundle.registry import Registered, Registry
from components.providers.base import Provider, say
from environment.build_context import BuildContext, ServedFiles, environment_context, service_context
from environment.image_layout import MODELS, PROBE_SCORER, PROBE_TRITON, SCORER_PORT, TRITON_HTTP_PORT
from environment.lock import resolve
from environment.spec import Environment, declared_environment

__all__ = ["EnvironmentContext", "ServiceContext"]

PROJECT = Path(__file__).resolve().parents[2]


class _ContextProvider(Provider):
    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        shutil.rmtree(_props["path"], ignore_errors=True)

    def drifted(self, outputs: Mapping[str, Any]) -> bool:
        return not Path(outputs["path"], "Dockerfile").is_file()


class EnvironmentContextProvider(_ContextProvider):
    """Resolves and locks an environment and writes what its image is built from."""

    outputs = frozenset({"path", "digest", "packages"})

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_=props["name"], outs=_environment(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(outs=_environment(_news))


def _environment(props: dict[str, Any]) -> dict[str, Any]:
    environment = declared_environment(props["name"], props.get("clone"), props["pipPackages"])
    curated = Environment.get(environment.curated.name)
    curated_lock, packages = (
        resolve(
            wanted.requirements,
            name=wanted.name,
            python=None,
            pins=wanted.curated.packages,
            project=PROJECT / "serving",
            store=Path(props["locks"]),
            progress=say,
        )
        for wanted in (curated, environment)
    )
    context = environment_context(
        environment,
        base_image=props["baseImage"],
        curated=curated_lock,
        packages=packages,
        serving=PROJECT / "serving",
    )
    context.write(Path(props["folder"]))
    return {**props, "path": props["folder"], "digest": context.digest, "packages": packages.packages}


class EnvironmentContext(Resource, module="triton", name="EnvironmentContext"):
    """An environment's Dockerfile and its files, in `path`; `digest` is of what decides the image's content."""

    path: pulumi.Output[str]
    digest: pulumi.Output[str]
    packages: pulumi.Output[dict[str, str]]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = EnvironmentContextProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)


class ServiceContextProvider(_ContextProvider):
    """Writes what a service's image is built from: the registered bundles, the script's folder, the probe's files."""

    outputs = frozenset({"path", "digest"})

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_="service", outs=_service(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(outs=_service(_news))

    def drifted(self, outputs: Mapping[str, Any]) -> bool:
        # A new version of this project may write another Dockerfile or another probe.
        return super().drifted(outputs) or _service_context(outputs).digest != outputs["digest"]


def _service(props: dict[str, Any]) -> dict[str, Any]:
    context = _service_context(props)
    folder = Path(props["folder"])
    context.write(folder)
    if props["holdsModels"]:
        for bundle in props["bundles"]:  # hashed as copied: what the image holds is what was registered
            registry, registered = _registered(bundle)
            copy = folder / Path(MODELS).name / bundle["name"] / str(registered.version)
            registry.lay_out(registered, Path(bundle["path"]), copy)
    return {**props, "path": props["folder"], "digest": context.digest}


def _service_context(props: Mapping[str, Any]) -> BuildContext:
    script = props.get("entryScript")
    return service_context(
        [
            ServedFiles(
                name=bundle["name"],
                version=int(bundle["version"]),
                digest=bundle["digest"],
                folder=Path(bundle["path"]),
                files=[file.path for file in _registered(bundle)[1].manifest.files],
                framework=bundle["framework"],
            )
            for bundle in props["bundles"]
        ],
        environment_image=props["environmentImage"],
        probes=_probes(props["bundles"], script),
        entry_script=script["file"] if script else None,
        holds_models=props["holdsModels"],
        source_directory=Path(script["sourceDirectory"]) if script else None,
    )


def _registered(bundle: Mapping[str, Any]) -> tuple[Registry, Registered]:
    registry = Registry(bundle["registry"])
    return registry, registry.get(bundle["name"], int(bundle["version"]))


def _probes(bundles: list[dict[str, Any]], script: dict[str, Any] | None) -> dict[str, str]:
    """The files of `serving.probing.probe`, by their paths in the image."""
    models = [
        model
        for bundle in bundles
        if bundle["framework"] == "Multi"
        for model in declared_versions(_registered(bundle)[1])
    ]
    probes = {}
    if models:
        triton = {"url": f"http://127.0.0.1:{TRITON_HTTP_PORT}", "models": models}
        probes[PROBE_TRITON] = json.dumps({"triton": triton, "scorer": None})
    if script is not None:
        scorer = {"url": f"http://127.0.0.1:{SCORER_PORT}", "golden": json.loads(script["golden"]) or None}
        probes[PROBE_SCORER] = json.dumps({"triton": None, "scorer": scorer})
    return probes


class ServiceContext(Resource, module="triton", name="ServiceContext"):
    """A service's Dockerfile and its files, in `path`; `digest` is of what decides the image's content."""

    path: pulumi.Output[str]
    digest: pulumi.Output[str]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = ServiceContextProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
