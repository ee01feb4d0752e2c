"""ModelBundle: a folder of models, checked and registered, or a version that is registered already."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from bundle.layout import check_files, check_layout
from bundle.registry import Registry, content_digest
from components.providers.registered_model import RegisteredModel
from settings.schema import Framework, Model, Target
from settings.schema import RegisteredModel as RegisteredVersion

__all__ = ["ModelBundle", "ModelBundleArgs"]


@dataclass(frozen=True, kw_only=True)
class ModelBundleArgs:
    """What to serve: a folder to register or a registered version; relative paths start at `project`."""

    model: Model | RegisteredVersion
    registry: str
    target: Target
    project: Path


class ModelBundle(pulumi.ComponentResource):
    """A registered bundle.

    A folder is checked before anything is declared (`bundle.layout`; raises its `LayoutError`) and registered under the
    next version when its content is new. A version that is named must be in the registry (`RegistryError`).
    """

    model_id: pulumi.Output[str]
    version: pulumi.Output[int]
    digest: pulumi.Output[str]
    path: pulumi.Output[str]
    models: pulumi.Output[list[dict[str, Any]]]
    framework: pulumi.Output[str]

    def __init__(self, name: str, args: ModelBundleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        model = args.model
        registry = args.project / args.registry if "://" not in args.registry else args.registry
        if isinstance(model, RegisteredVersion):
            store = Registry(str(registry))
            registered = store.get(model.name, model.version)
            super().__init__("triton:index:ModelBundle", name, None, opts)
            self.version = pulumi.Output.from_input(registered.version)
            self.digest = pulumi.Output.from_input(registered.digest)
            self.path = pulumi.Output.from_input(str(store.local_path(registered)))
            self.models = pulumi.Output.from_input(registered.models)
            self.framework = pulumi.Output.from_input(registered.framework)
        else:
            source = (args.project / model.path).resolve()
            custom = model.framework is Framework.CUSTOM
            checked = check_files(source) if custom else check_layout(source, target=args.target.value)
            super().__init__("triton:index:ModelBundle", name, None, opts)
            for note in checked.notes:
                pulumi.log.info(note, self)
            resource = RegisteredModel(
                f"{name}-version",
                {
                    "registry": str(registry),
                    "name": model.name,
                    "source": str(source),
                    "digest": content_digest(checked),
                    "target": args.target.value,
                    "framework": model.framework.value,
                    "tags": model.tags,
                    "description": model.description,
                },
                pulumi.ResourceOptions(parent=self),
            )
            self.version = resource.version
            self.digest = resource.digest
            self.path = resource.path
            self.models = resource.models
            self.framework = pulumi.Output.from_input(model.framework.value)
        self.model_id = pulumi.Output.format("{0}:{1}", model.name, self.version)
        self.register_outputs(
            {"modelId": self.model_id, "digest": self.digest, "path": self.path, "models": self.models}
        )
