"""ModelBundle: a folder of models, checked and registered, or a version that is registered already."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from bundle.layout import check_bundle, check_layout
from bundle.registry import Registry, content_digest
from bundle.runtimes import Runtime
from provider.resources.registered_model import RegisteredModel
from settings.model_runtime import runtime_of
from settings.schema import Framework, Model, RegisteredModelId, Settings, Target

__all__ = ["ModelBundle", "ModelBundleArgs"]


@dataclass(frozen=True, kw_only=True)
class ModelBundleArgs:
    """What to serve: a folder to register (with an absolute path) or a registered version, and the registry's URL.

    `cache` is where a bundle of an object store is downloaded to; without it, the bundle stays there. `runtime` is what
    serves it, as far as the settings tell.
    """

    model: Model | RegisteredModelId
    registry: str
    target: Target
    cache: Path | None = None
    runtime: Runtime | None = None

    @classmethod
    def of(cls, settings: Settings, model: Model | RegisteredModelId) -> "ModelBundleArgs":
        """The arguments that a stack's settings give."""
        if isinstance(model, Model):
            model = model.model_copy(update={"path": str(Path(model.path).resolve())})
        cache = (Path(settings.state_directory) / "cache" / "models").resolve()
        stays = settings.node_pool.models_from == "registry"
        return cls(
            model=model,
            registry=settings.registry,
            target=settings.deployment.target,
            cache=None if stays else cache,
            runtime=runtime_of(settings),
        )


class ModelBundle(pulumi.ComponentResource):
    """A registered bundle.

    A folder is checked before anything is declared (`bundle.layout`; raises its `LayoutError`) and registered under the
    next version when its content is new. A version that is named must be in the registry (`RegistryError`).
    """

    name: str
    registry: str
    version: pulumi.Output[int]
    digest: pulumi.Output[str]
    path: pulumi.Output[str]
    framework: pulumi.Output[str]
    models: pulumi.Output[list[dict[str, Any]]]

    def __init__(self, name: str, args: ModelBundleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        self.name, self.registry = args.model.name, args.registry
        if isinstance(args.model, RegisteredModelId):
            self._take(name, args.model, args, opts)
        else:
            self._register(name, args.model, args, opts)
        self.register_outputs({"modelId": self.model_id, "digest": self.digest, "path": self.path})

    def _take(
        self, name: str, model: RegisteredModelId, args: ModelBundleArgs, opts: pulumi.ResourceOptions | None
    ) -> None:
        registry = Registry(args.registry, cache=args.cache)
        registered = registry.get(model.name, model.version)
        path = registry.local_path(registered) if args.cache else registered.path
        notes: list[str] = []
        if args.cache and registered.framework == Framework.MULTI.value:
            notes = list(check_layout(Path(path), target=args.target.value, runtime=args.runtime).notes)
        super().__init__("triton:index:ModelBundle", name, None, opts)
        for note in notes:
            pulumi.log.info(note, self)
        # A rollback is an update of what was registered before, not its end.
        self._declare(
            name,
            args,
            source="",
            digest=registered.digest,
            framework=registered.framework,
            tags=dict(registered.tags),
            description=registered.description,
        )
        # The preview knows them already.
        self.version = pulumi.Output.from_input(registered.version)
        self.digest = pulumi.Output.from_input(registered.digest)
        self.path = pulumi.Output.from_input(str(path))
        self.framework = pulumi.Output.from_input(registered.framework)
        self.models = pulumi.Output.from_input(registered.summary)

    def _register(self, name: str, model: Model, args: ModelBundleArgs, opts: pulumi.ResourceOptions | None) -> None:
        source = Path(model.path)
        framework, target = model.framework.value, args.target.value
        checked = check_bundle(source, framework=framework, target=target, runtime=args.runtime)
        super().__init__("triton:index:ModelBundle", name, None, opts)
        for note in checked.notes:
            pulumi.log.info(note, self)
        registered = self._declare(
            name,
            args,
            source=str(source),
            digest=content_digest(checked),
            framework=framework,
            tags=model.tags,
            description=model.description,
        )
        self.version = registered.version
        self.digest = registered.digest
        self.path = registered.path
        self.framework = registered.framework
        self.models = registered.models

    def _declare(self, name: str, args: ModelBundleArgs, **version: Any) -> RegisteredModel:
        inputs = {
            "registry": args.registry,
            "cache": str(args.cache or ""),
            "name": args.model.name,
            "target": args.target.value,
            **version,
        }
        # The registry keeps it, and the preview says so.
        kept = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        return RegisteredModel(f"{name}-version", inputs, kept)

    @property
    def model_id(self) -> pulumi.Output[str]:
        """`name:version`."""
        return pulumi.Output.format("{0}:{1}", self.name, self.version)

    @property
    def summary(self) -> pulumi.Output[dict[str, Any]]:
        """The bundle for people and other stacks: its id and digest, its models with versions and platform."""
        return pulumi.Output.all(modelId=self.model_id, digest=self.digest, models=self.models)

    @property
    def served(self) -> dict[str, pulumi.Input[Any]]:
        """The bundle as a deployment's input: where it is registered, its content's digest and who serves it."""
        return {
            "registry": self.registry,
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "path": self.path,
            "framework": self.framework,
        }
