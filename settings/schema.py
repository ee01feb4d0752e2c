"""The settings of a stack, with Azure Machine Learning's names where Azure has one.

Each class is one group of `stacks/Pulumi.<stack>.yaml`, with its fields in camelCase there. Each class checks what it
can know about itself; `settings.rules` checks what needs the whole tree or the disk.
"""

import re
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeInt,
    PositiveInt,
    PrivateAttr,
    SecretStr,
    Tag,
)
from pydantic.config import JsonDict

from settings.clients import ClientSettings, KeyRotation
from settings.group import Group
from settings.image_names import DockerSettings, ImageSettings
from settings.node_pool import NodePoolSettings
from settings.project_path import BundleFolder, ProjectPath, RegistryUrl, checked_path
from settings.service_groups import MACHINE, Limits, Opening, Resources, Rollout, RolloutPlan

__all__ = [
    "Deployment",
    "Environment",
    "Framework",
    "KeyRotation",
    "Model",
    "RegisteredModelId",
    "Settings",
    "Target",
    "Tls",
]


class Target(str, Enum):
    """Where the service's processes run."""

    PROCESS = "process"
    DOCKER = "docker"
    NODE_POOL = "node-pool"


class Framework(str, Enum):
    """Who serves a bundle: Triton (`Multi`, as in Azure's `Model.Framework.MULTI`) or the entry script (`Custom`)."""

    MULTI = "Multi"
    CUSTOM = "Custom"


IMAGES: JsonDict = {"targets": ["docker", "node-pool"]}
"""The targets that heed a setting of images: for what is written about settings (`settings.reference`)."""

SERVICE_NAME = re.compile(r"[a-z]([a-z0-9-]{1,30}[a-z0-9])")
MODEL_ID = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]{0,254}):(?P<version>[1-9][0-9]{0,8})")

G = TypeVar("G", bound=Group)

A_MODEL = "a folder to register (path, name) or a registered model, as in 'triton_model:1'"


def _service_name(value: str) -> str:
    if not SERVICE_NAME.fullmatch(value):
        raise ValueError("3 to 32 lower-case letters, digits and '-', starting with a letter and not ending with '-'")
    return value


def _name(most: int) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{most - 1}}}", value):
            raise ValueError(f"up to {most} letters, digits, '_', '.' and '-', starting with a letter or digit")
        return value

    return AfterValidator(check)


class Model(Group):
    """A bundle to register: a folder with its name and description (Azure's `Model.register`)."""

    path: BundleFolder = Field(description="the bundle's folder, relative to the project")
    name: Annotated[str, _name(255)] = Field(
        description="the registered model's name; a changed folder is its next version"
    )
    tags: dict[str, str] = Field(default={}, description="kept with the version")
    description: str = Field(default="", description="kept with the version")
    framework: Framework = Field(
        default=Framework.MULTI, description="Multi: Triton serves it; Custom: the entry script loads it"
    )


class RegisteredModelId(Group):
    """A version that the registry holds already, written `name:version` in the stack's file."""

    name: str
    version: PositiveInt

    @classmethod
    def parse(cls, text: object) -> object:
        """Read `name:version`; leave anything but text to pydantic."""
        if not isinstance(text, str):
            return text
        found = MODEL_ID.fullmatch(text)
        if not found:
            raise ValueError(A_MODEL)
        return cls(name=found["name"], version=int(found["version"]))


def _kind_of_model(value: object) -> str | None:
    if isinstance(value, str | RegisteredModelId):
        return "registered"
    return "folder" if isinstance(value, dict | Model) else None


ServedModel = Annotated[
    Annotated[Model, Tag("folder")]
    | Annotated[RegisteredModelId, BeforeValidator(RegisteredModelId.parse), Tag("registered")],
    Discriminator(_kind_of_model, custom_error_type="kind_of_model", custom_error_message=A_MODEL),
]


class Environment(Group):
    """The environment that serves: a curated one, or its clone extended with pip packages and variables."""

    name: Annotated[str, _name(63)] = Field(
        default="AzureML-Triton", description="a curated environment, or the name of your clone"
    )
    clone: str | None = Field(default=None, description="the curated environment it is cloned from")
    pip_packages: list[str] = Field(default=[], description="requirements, as in 'nltk>=3.9'; resolved and locked")
    requirements_file: ProjectPath | None = Field(
        default=None, description="a requirements.txt, relative to the project: its lines join pipPackages"
    )
    lock_directory: ProjectPath | None = Field(
        default=None, description="a folder of locks that hold in place of new ones, as a version of the service has it"
    )
    variables: dict[str, str] = Field(
        default={}, description="of the entry script server and Triton: see serving/README.md"
    )


class _Place(Group):
    """Where the service runs. Its fields come first in what is written about `deployment`."""

    target: Target = Field(default=Target.PROCESS, description="where the processes run")
    compute_target_name: str = Field(default="local", description="on node-pool a preset, such as aks-gpu")


class Deployment(Limits, Opening, Resources, _Place):
    """Where the service runs, with what, and behind which door (Azure's `deploy_configuration`).

    The stack's file has the groups' fields side by side; `resources`, `limits`, `opening` and `rollout_plan` give each
    group by itself, as targets take it.
    """

    model_config = ConfigDict(validate_by_name=False)

    overwrite: bool = Field(default=False, description="take over a service of this name that another stack has")
    version: PositiveInt | None = Field(
        default=None,
        description="a version of the service to deploy whole: models, script, environment, resources and limits are "
        "that version's; `make versions` lists them",
    )
    versions_kept: NonNegativeInt = Field(
        default=10,
        description="how many versions of the service the registry keeps, and the one that serves; 0 keeps none, for a "
        "registry that is read alone",
    )
    rollout: Rollout = Field(default=Rollout(), description="how a new version earns its traffic")

    @property
    def resources(self) -> Resources:
        """What one generation may use."""
        return self._group(Resources)

    @property
    def limits(self) -> Limits:
        """What one request may take."""
        return self._group(Limits)

    @property
    def opening(self) -> Opening:
        """How the front door opens."""
        return self._group(Opening)

    @property
    def rollout_plan(self) -> RolloutPlan:
        """How a new version earns its traffic, with the defaults that depend on other settings."""
        return self.rollout.plan(self)

    def _group(self, group: type[G]) -> G:
        return group.model_validate({name: getattr(self, name) for name in group.model_fields})


class Tls(Group):
    """The front door's certificate: PEM files, relative to the project, read again when they change."""

    certificate_file: ProjectPath = Field(description="the certificate and its chain")
    key_file: ProjectPath = Field(description="its private key, for its owner to read alone")


class Settings(Group):
    """The whole of a stack's settings.

    `project` is the folder at which the relative paths of the stack's file start: the paths here are absolute.
    """

    _project: Path = PrivateAttr(default_factory=Path.cwd)

    service_name: Annotated[str, AfterValidator(_service_name)] = Field(
        default="triton-webservice", description="one service of this name on a machine, engine or namespace"
    )
    models: list[ServedModel] = Field(min_length=1, description="what is served: folders, or registered versions")
    registry: RegistryUrl = Field(
        default=RegistryUrl(".var/registry"), validate_default=True, description="a folder or an fsspec URL"
    )
    state_directory: ProjectPath = Field(
        default=ProjectPath(".var"),
        validate_default=True,
        description="what services keep on this machine",
        json_schema_extra=MACHINE,
    )
    environment: Environment = Field(default=Environment(), description="what serves")
    entry_script: Annotated[str, AfterValidator(checked_path)] | None = Field(
        default=None, description="a score.py with init() and run()"
    )
    source_directory: ProjectPath = Field(
        default=ProjectPath("scripts"), validate_default=True, description="the folder that holds the entry script"
    )
    deployment: Deployment = Field(default=Deployment(), description="where it runs, with what, and how it opens")
    image: ImageSettings = Field(default=ImageSettings(), description="the service's image", json_schema_extra=IMAGES)
    docker: DockerSettings = Field(
        default=DockerSettings(), description="of target docker", json_schema_extra={"targets": ["docker"]}
    )
    node_pool: NodePoolSettings = Field(
        default=NodePoolSettings(), description="of target node-pool", json_schema_extra={"targets": ["node-pool"]}
    )
    tls: Tls | None = Field(default=None, description="the front door's certificate; without it, HTTP")
    key_rotation: KeyRotation = Field(default=KeyRotation(), description="which edition of each key is in force")
    clients: list[ClientSettings] = Field(
        default=[], description="who may call besides, each by its name and with its own keys, models and limits"
    )
    primary_key: SecretStr | None = Field(default=None, description="a key of your own; made where it is not given")
    secondary_key: SecretStr | None = Field(default=None, description="a key of your own; made where it is not given")
    image_password: SecretStr | None = Field(default=None, description="of image.username", json_schema_extra=IMAGES)

    @property
    def project(self) -> Path:
        """The folder at which the relative paths of the stack's file start."""
        return self._project

    def model_post_init(self, context: Any) -> None:
        """Keep the project's folder, which is the context of the validation."""
        if context is not None:
            self._project = context
