"""ModelBundle: a folder of models, checked and registered, or a version that is registered already."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pydantic import Field, PositiveInt

from bundle.bundle_types import Bundle
from bundle.layout import ANY_TARGET, check_bundle
from bundle.registry import Registered, Registry, content_digest
from components.bundle_outputs import BundleOutputs, Outputs
from components.plain_inputs import PlainComponent
from provider.resources.registered_model import RegisteredModel
from settings.errors import Mistake, SettingsError
from settings.form_mistakes import checked_form
from settings.group import Group
from settings.project_path import BundleFolder, ProjectPath, RegistryUrl
from settings.schema import Framework

__all__ = ["BundleInputs", "ModelBundle"]


class BundleInputs(Group):
    """A bundle: a folder to register (`path`), or a `version` that the registry holds."""

    path: BundleFolder | None = Field(default=None, description="the bundle's folder, relative to the project")
    name: str | None = Field(default=None, description="the registered model's name")
    version: PositiveInt | None = Field(default=None, description="a registered version, in place of a path")
    tags: dict[str, str] = Field(default={}, description="kept with the version")
    description: str = Field(default="", description="kept with the version")
    framework: Framework = Field(
        default=Framework.MULTI, description="Multi: Triton serves it; Custom: the entry script loads it"
    )
    registry: RegistryUrl = Field(
        default=RegistryUrl(".var/registry"), validate_default=True, description="a folder or an fsspec URL"
    )
    state_directory: ProjectPath = Field(
        default=ProjectPath(".var"), validate_default=True, description="what is kept on this machine"
    )
    download: bool = Field(default=True, description="bring the files of an object store to this machine")


@dataclass(frozen=True)
class _Found:
    """Checked inputs, and what they name: a bundle to register, or a registered version."""

    inputs: BundleInputs
    content: Bundle | Registered

    @property
    def cache(self) -> Path | None:
        """The folder that the files of an object store come to; None where they stay there."""
        if not self.inputs.download:
            return None
        return (Path(self.inputs.state_directory) / "cache" / "models").resolve()


class ModelBundle(PlainComponent[_Found], BundleOutputs):
    """A registered bundle (Azure's `Model.register`).

    A folder is checked and registered under the next version when its content is new. A version that is named must be
    in the registry. The registry keeps versions when the resource is deleted: other stacks and rollbacks need them.

    Args:
        resource_name: The resource's name, and the model's where `name` gives no other.
        path: The folder that contains `triton/<model>/<version>/<model file>`, relative to the program's folder. For
            framework `Custom`: any file or folder.
        version: A registered version in place of a path.
        name: The registered model's name.
        tags: Kept with the version.
        description: Kept with the version.
        framework: `Multi` (default): Triton serves it. `Custom`: the entry script loads it.
        registry: A folder or an fsspec URL; by default `.var/registry`.
        state_directory: The folder for what is kept on this machine; by default `.var`.
        download: Whether the files of an object store come to this machine; by default they do.

    Raises:
        SettingsError: An argument has a mistake, or the folder is no bundle.

    Example:
        model = ModelBundle("bidaf-9-tutorial", path="models", tags={"area": "Natural language processing"})
        pulumi.export("modelId", model.model_id)    # bidaf-9-tutorial:1
    """

    TYPE = "triton:index:ModelBundle"
    Inputs, Outputs = BundleInputs, Outputs

    def __init__(
        self,
        resource_name: str,
        *,
        path: pulumi.Input[str] | None = None,
        version: pulumi.Input[int] | None = None,
        name: pulumi.Input[str] | None = None,
        tags: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
        description: pulumi.Input[str] | None = None,
        framework: pulumi.Input[str] | None = None,
        registry: pulumi.Input[str] | None = None,
        state_directory: pulumi.Input[str] | None = None,
        download: pulumi.Input[bool] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "path": path,
            "version": version,
            "name": name,
            "tags": tags,
            "description": description,
            "framework": framework,
            "registry": registry,
            "state_directory": state_directory,
            "download": download,
        }
        super().__init__(resource_name, inputs, opts)

    def checked(self, name: str, given: dict[str, Any]) -> _Found:
        subject = f"ModelBundle '{name}'"
        inputs = checked_form(BundleInputs, {"name": name, **given}, subject=subject, project=Path.cwd())
        if inputs.path is not None and inputs.version is None:
            framework = inputs.framework.value
            return _Found(inputs, check_bundle(Path(inputs.path).resolve(), framework=framework, target=ANY_TARGET))
        if inputs.path is None and inputs.version is not None:
            return _Found(inputs, Registry(inputs.registry).get(str(inputs.name), inputs.version))
        told = "is missing, and so is version" if inputs.path is None else "is given, and so is version"
        raise SettingsError(subject, [Mistake(path="path", expected=f"{told}: expected one of the two")])

    def declare(self, name: str, checked: _Found) -> Mapping[str, pulumi.Input[Any]]:
        inputs = checked.inputs
        if isinstance(checked.content, Bundle):
            made = self._register(name, checked, checked.content)
            fields = {"path", "name", "tags", "description", "framework"}
            setting: Any = inputs.model_dump(mode="json", by_alias=True, include=fields)
        else:
            made = self._take(name, checked, checked.content)
            setting = f"{inputs.name}:{inputs.version}"
        return {
            **made,
            "modelId": pulumi.Output.format("{0}:{1}", inputs.name, made["version"]),
            "name": inputs.name,
            "registry": inputs.registry,
            "setting": setting,
        }

    def _register(self, name: str, checked: _Found, bundle: Bundle) -> dict[str, pulumi.Input[Any]]:
        inputs = checked.inputs
        made = self._declare_version(
            name,
            checked,
            source=str(bundle.root.resolve()),
            digest=content_digest(bundle),
            framework=inputs.framework.value,
            tags=inputs.tags,
            description=inputs.description,
        )
        outputs = ("version", "digest", "path", "framework", "models")
        return {output: getattr(made, output) for output in outputs}

    def _take(self, name: str, checked: _Found, found: Registered) -> dict[str, pulumi.Input[Any]]:
        """Take a registered version. A rollback updates what was registered before, and does not end it."""
        self._declare_version(
            name,
            checked,
            source="",
            digest=found.digest,
            framework=found.framework,
            tags=dict(found.tags),
            description=found.description,
        )
        registry = Registry(checked.inputs.registry, cache=checked.cache)
        # The preview knows them already.
        return {
            "version": found.version,
            "digest": found.digest,
            "path": str(registry.local_path(found)) if checked.cache else found.path,
            "framework": found.framework,
            "models": found.summary,
        }

    def _declare_version(self, name: str, checked: _Found, **version: Any) -> RegisteredModel:
        inputs = {
            "registry": checked.inputs.registry,
            "cache": str(checked.cache or ""),
            "name": checked.inputs.name,
            **version,
        }
        # The registry keeps it, and the preview says so.
        kept = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        return RegisteredModel(f"{name}-version", inputs, kept)
