"""TritonService: models served on a target behind a front door, checked before and after traffic reaches them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pulumi
from pydantic import Field, SecretStr, create_model

from common.part import Part
from components.access_keys import AccessKeys, AccessKeysArgs
from components.bundle_outputs import BundleOutputs
from components.deployment import check_place, deployment_on
from components.gateway import Gateway, GatewayArgs
from components.plain_inputs import PlainComponent
from components.program_places import PLACES
from components.service_secrets import Secret, Secrets
from components.service_version import KeptVersion, KeptVersionArgs, is_kept
from components.smoke_check import SmokeCheck, SmokeCheckArgs
from components.stack_settings import stack_id
from components.summaries import BundleSummary, EnvironmentSummary
from components.triton_environment import TritonEnvironment
from settings.errors import Mistake, SettingsError
from settings.group import Group
from settings.load import load
from settings.model_runtime import layout_of
from settings.rollout_notes import rollout_notes
from settings.schema import Framework, Model, Settings, Target
from settings.version_differences import version_notes
from targets.declared_script import source_notes

__all__ = ["TritonService"]

Plain = Mapping[str, Any] | None


_ARGUMENTS = (
    "entry_script",
    "source_directory",
    "deployment",
    "image",
    "docker",
    "node_pool",
    "tls",
    "key_rotation",
    "clients",
    "primary_key",
    "secondary_key",
    "image_password",
    "service_name",
    "state_directory",
)
"""The arguments that a stack's file has settings for, beside models and environment."""

Inputs = create_model(  # type: ignore[call-overload]
    "ServiceInputs",
    __base__=Group,
    __module__=__name__,
    kubeconfig=(
        SecretStr | None,
        Field(default=None, description="the text of the cluster's kubeconfig; by default this machine's own"),
    ),
    **{name: (Settings.model_fields[name].annotation, Settings.model_fields[name]) for name in _ARGUMENTS},
)
"""The form of the arguments beside `models` and `environment`: the settings of the same names."""


class Outputs(Part):
    """The outputs of a service."""

    scoring_uri: str = Field(
        description="where clients send requests: `/score`, or the base URI where Triton serves without a script"
    )
    triton_uri: str | None = Field(description="the base URI for `/v2`; none where Triton does not serve")
    grpc_uri: str | None = Field(description="a host and a port for gRPC; none where Triton does not serve")
    swagger_uri: str | None = Field(description="the script's description; none without a script")
    metrics_uri: str = Field(description="where all metrics are")
    state: str = Field(description="`Healthy`, `Unhealthy` or `Stopped`, measured")
    primary_key: SecretStr = Field(description="a key that opens the front door")
    secondary_key: SecretStr = Field(description="another one, so that one can be rotated while the other works")
    client_keys: dict[str, dict[str, SecretStr]] | None = Field(
        description="`primary` and `secondary` of each client that has keys, by its name; none without such clients"
    )
    model_id: str = Field(description="`name:version` of the first model")
    model_digest: str = Field(description="the digest of the first model's content")
    models: list[BundleSummary] = Field(description="each bundle with its id, digest and models")
    environment: EnvironmentSummary = Field(description="the environment's name and digest")
    version: int | None = Field(
        description="the number of the service's version that serves, also beside one with a share of the traffic; "
        "none where none is kept"
    )
    cluster: dict[str, str] | None = Field(description="the cluster's identity, on target `node-pool`")
    logs: str | None = Field(description="the command that shows the logs, on target `node-pool`")
    port_forward: str | None = Field(description="the command that leads to a front door inside a cluster")


@dataclass(frozen=True)
class _Checked:
    """Checked settings, and why a preview could not check the place of the service."""

    settings: Settings
    unchecked: str
    notes: list[str] = field(default_factory=list)


class TritonService(PlainComponent[_Checked]):
    """A Triton service: its deployment, its access keys, its gateway and its smoke check.

    Each group of arguments (`deployment`, `image`, `docker`, `node_pool`, `tls`, `key_rotation`) has the settings of
    the same group in a stack's file, by their names there or in Python: `docs/settings.md` lists them.

    Args:
        resource_name: The resource's name, and the service's where `service_name` gives no other.
        models: What is served.
        environment: What serves; by default the curated environment `AzureML-Triton`.
        entry_script: A score.py with `init()` and `run()`.
        source_directory: The folder that holds the entry script, relative to the program's folder; by default
            `scripts`.
        deployment: Where it runs, with what, and how it opens (Azure's `deploy_configuration`).
        image: The service's image, on the targets `docker` and `node-pool`.
        docker: Of target `docker`.
        node_pool: Of target `node-pool`.
        tls: The front door's certificate; without it, HTTP.
        key_rotation: Which edition of each key is in force.
        clients: Who may call besides, each by its name and with its own keys, models and limits: `docs/clients.md`.
        primary_key: A key of your own; made where it is not given. It becomes a secret.
        secondary_key: Another one.
        image_password: Of `image.username`. It becomes a secret.
        kubeconfig: The text of the kubeconfig of the cluster, on target `node-pool`; by default this machine's own. It
            becomes a secret. Where `opts` names a Kubernetes provider too, that makes the objects.
        service_name: One service of this name on a machine, engine or namespace: 3 to 32 lower-case letters, digits
            and `-`.
        state_directory: What services keep on this machine; by default `.var`.

    Its outputs are attributes: see `Outputs`.

    Raises:
        SettingsError: The arguments have mistakes: all of them at once, before anything is declared.
        ServiceError: The service's name or port belongs to somebody else.

    Example:
        service = TritonService(
            "triton-webservice",
            models=[ModelBundle("triton_model", path="model_repository")],
            deployment={"target": "docker", "compute_target_name": "local", "auth_enabled": True},
        )
        pulumi.export("scoringUri", service.scoring_uri)
    """

    TYPE = "triton:index:TritonService"
    Inputs, Outputs = Inputs, Outputs
    NAMED_AFTER_RESOURCE = ("serviceName",)
    REFERENCES: ClassVar[Mapping[str, Any]] = {
        "models": {
            "type": "array",
            "items": {"$ref": "#/resources/triton:index:ModelBundle"},
            "description": "what is served",
        },
        "environment": {
            "$ref": "#/resources/triton:index:TritonEnvironment",
            "description": "what serves; by default the curated environment AzureML-Triton",
        },
    }
    REQUIRED = ("models",)

    scoring_uri: pulumi.Output[str]
    triton_uri: pulumi.Output[str | None]
    grpc_uri: pulumi.Output[str | None]
    swagger_uri: pulumi.Output[str | None]
    metrics_uri: pulumi.Output[str]
    state: pulumi.Output[str]
    primary_key: pulumi.Output[str]
    secondary_key: pulumi.Output[str]
    client_keys: pulumi.Output[dict[str, dict[str, str]] | None]
    model_id: pulumi.Output[str]
    model_digest: pulumi.Output[str]
    models: pulumi.Output[list[BundleSummary]]
    environment: pulumi.Output[EnvironmentSummary]
    version: pulumi.Output[int | None]
    cluster: pulumi.Output[dict[str, str] | None]
    logs: pulumi.Output[str | None]
    port_forward: pulumi.Output[str | None]

    def __init__(
        self,
        resource_name: str,
        *,
        models: Sequence[BundleOutputs],
        environment: TritonEnvironment | None = None,
        entry_script: pulumi.Input[str] | None = None,
        source_directory: pulumi.Input[str] | None = None,
        deployment: pulumi.Input[Plain] = None,
        image: pulumi.Input[Plain] = None,
        docker: pulumi.Input[Plain] = None,
        node_pool: pulumi.Input[Plain] = None,
        tls: pulumi.Input[Plain] = None,
        key_rotation: pulumi.Input[Plain] = None,
        clients: pulumi.Input[Sequence[Mapping[str, Any]]] | None = None,
        primary_key: Secret = None,
        secondary_key: Secret = None,
        image_password: Secret = None,
        kubeconfig: Secret = None,
        service_name: pulumi.Input[str] | None = None,
        state_directory: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        self._bundles = tuple(models)
        self._secrets = Secrets(
            primary_key=primary_key,
            secondary_key=secondary_key,
            image_password=image_password,
            kubeconfig=kubeconfig,
        )
        inputs = {
            "models": [bundle.plain("setting") for bundle in models],
            "registries": [bundle.plain("registry") for bundle in models],
            "environment": environment.plain("setting") if environment else None,
            "entry_script": entry_script,
            "source_directory": source_directory,
            "deployment": deployment,
            "image": image,
            "docker": docker,
            "node_pool": node_pool,
            "tls": tls,
            "key_rotation": key_rotation,
            "clients": clients,
            "service_name": service_name,
            "state_directory": state_directory,
        }
        super().__init__(resource_name, inputs, opts)

    def checked(self, name: str, given: dict[str, Any]) -> _Checked:
        subject = f"TritonService '{name}'"
        registries = given.pop("registries")
        if others := sorted({registry for registry in registries if registry != registries[0]}):
            expected = f"expected one registry for all models of a service, found {', '.join(others)} too"
            raise SettingsError(subject, [Mistake(path="models", value=repr(registries[0]), expected=expected)])
        values = {"service_name": name, **given, **({"registry": registries[0]} if registries else {})}
        settings = load(
            {**values, **self._secrets.known},
            subject=subject,
            project=Path.cwd(),
            secret=self._secrets.names,
            python_names=True,
        )
        if self._secrets.kubeconfig is None:
            PLACES.take(name, settings)
            unchecked = check_place(name, settings)
        elif settings.deployment.target is Target.NODE_POOL:
            unchecked = ""  # the provider asks that cluster, once the kubeconfig is known
        else:
            target = settings.deployment.target.value
            expected = f"is read by target 'node-pool' alone, and deployment.target is '{target}': remove it"
            raise SettingsError(subject, [Mistake(path="kubeconfig", expected=expected)])
        notes = [
            *version_notes(settings, stack_id()),
            *self._layout_notes(settings),
            *source_notes(settings),
            *rollout_notes(settings.deployment.rollout_plan),
        ]
        return _Checked(settings, unchecked, notes)

    def declare(self, name: str, checked: _Checked) -> Mapping[str, pulumi.Input[Any]]:
        settings = checked.settings
        if checked.unchecked:
            pulumi.log.warn(checked.unchecked, self)
        for note in checked.notes:
            pulumi.log.info(note, self)
        kind = deployment_on(settings.deployment.target)
        opts = pulumi.ResourceOptions(parent=self)
        part = kind.prefix(name, settings)
        keys = AccessKeys(f"{name}-keys", AccessKeysArgs.of(settings, self._secrets), opts)
        deployment = kind.of(name, settings, self._bundles, self._secrets, opts)
        gateway = Gateway(f"{part}-gateway", GatewayArgs(settings, keys=keys, deployment=deployment), opts)
        check = SmokeCheck(
            f"{name}-smoke-check", SmokeCheckArgs(settings, self._bundles, keys, deployment, gateway), opts
        )
        number: pulumi.Input[int | None] = deployment.behind.apply(
            lambda behind: None if behind else settings.deployment.version
        )
        if is_kept(settings):
            args = KeptVersionArgs(settings, self._bundles, deployment, check)
            number = KeptVersion(f"{name}-version", args, opts).number
        first = self._bundles[0]
        return {
            **gateway.outputs,
            **deployment.outputs,
            "environment": deployment.environment,
            "primaryKey": keys.primary,
            "secondaryKey": keys.secondary,
            **({"clientKeys": pulumi.Output.secret(keys.by_client)} if keys.clients else {}),
            "modelId": first.model_id,
            "modelDigest": first.digest,
            "models": pulumi.Output.all(*(bundle.summary for bundle in self._bundles)),
            "version": number,
        }

    def _layout_notes(self, settings: Settings) -> list[str]:
        """List what is worth knowing of the bundles' layouts on the service's target.

        Raises:
            LayoutError: A registered bundle is in an object store, and was brought here for a target that cannot serve
                it.
        """
        notes: list[str] = []
        for model, bundle in zip(settings.models, self._bundles, strict=True):
            framework, path = bundle.plain("framework"), bundle.plain("path")
            if isinstance(model, Model):
                notes += layout_of(settings, Path(model.path).resolve(), model.framework).notes
            elif framework == Framework.MULTI.value and isinstance(path, str) and "://" not in path:
                notes += layout_of(settings, Path(path)).notes
        return notes
