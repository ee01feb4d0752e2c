"""Components under Pulumi's mocks: what they register, with which parents, inputs and secrets."""

import asyncio
import dataclasses
import json
import runpy
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks, rpc
from pulumi.runtime import settings as runtime
from pulumi.runtime.stack import run_pulumi_func
from pulumi.runtime.sync_await import _sync_await

from components import deployment
from components import stack_settings as reading
from components.access_keys import AccessKeys, AccessKeysArgs
from components.gateway import Gateway, GatewayArgs
from components.machine_deployment import MachineDeploymentArgs
from components.model_bundle import ModelBundle
from components.process_deployment import ProcessDeployment
from components.service_secrets import Secrets
from components.smoke_check import SmokeCheck, SmokeCheckArgs
from components.stack_settings import SERVICE, stack_name
from settings.load import load
from settings.schema import Settings
from settings.stack_reader import file_of

PROJECT = Path(__file__).resolve().parents[2]
OTHERS = {
    "current-context": "nobody",
    "contexts": [{"name": name, "context": {"cluster": name, "user": "u"}} for name in ("nobody", "admin")],
    "clusters": [{"name": name, "cluster": {"server": f"https://{name}s"}} for name in ("nobody", "admin")],
    "users": [{"name": "u", "user": {"token": "s3cret"}}],
}
"""The kubeconfig that another stack exports."""


@dataclasses.dataclass(frozen=True)
class Registered:
    """A resource as it was registered; `parent` is its parent's name, `secrets` the inputs that are marked so."""

    type: str
    name: str
    parent: str
    inputs: dict[str, Any]
    secrets: frozenset[str]
    secret_outputs: frozenset[str]
    depends_on: frozenset[str]
    retained: bool
    ignored: tuple[str, ...]
    provider: str


class Recorder(mocks.MockMonitor):
    """Pulumi's mock monitor, which also keeps each request."""

    def __init__(self, outputs: "Outputs") -> None:
        super().__init__(outputs)
        self.seen: dict[str, Registered] = {}

    def RegisterResource(self, request: Any) -> Any:
        inputs = rpc.deserialize_properties(request.object)
        self.seen[request.name] = Registered(
            type=request.type,
            name=request.name,
            parent=request.parent.rpartition("::")[2],
            inputs={name: rpc.unwrap_rpc_secret(value) for name, value in inputs.items()},
            secrets=frozenset(name for name, value in inputs.items() if rpc.is_rpc_secret(value)),
            secret_outputs=frozenset(request.additionalSecretOutputs),
            depends_on=frozenset(urn.rpartition("::")[2] for urn in request.dependencies),
            retained=request.retainOnDelete,
            ignored=tuple(request.ignoreChanges),
            provider=request.provider.rpartition("::")[0].rpartition("::")[2],
        )
        return super().RegisterResource(request)


class Outputs(mocks.Mocks):
    """What the engine would answer: the inputs, and what each provider adds to them."""

    added = {
        "RegisteredModel": {
            "version": 1,
            "digest": "d" * 64,
            "path": "/registry/m/1/files",
            "models": [{"name": "digits", "versions": [1], "platform": "onnxruntime_onnx"}],
        },
        "EnvironmentVenv": {
            "path": "/environments/e",
            "digest": "e" * 64,
            "packages": {"numpy": "1.26.4"},
            "lockFiles": ["/environments/locks/e.txt"],
        },
        "ProcessService": {"state": "Healthy", "problems": [], "generation": {"number": 1}},
        "ProcessFrontDoor": {"state": "Healthy", "problems": [], "metricsPort": 6790},
        "EnvironmentContext": {
            "path": "/images/environment",
            "digest": "a" * 64,
            "packages": {"numpy": "1.26.4"},
            "lockFiles": ["/environments/locks/curated.txt", "/environments/locks/a.txt"],
        },
        "ServiceContext": {"path": "/images/service", "digest": "b" * 64},
        "Image": {"repoDigest": f"sha256:{'c' * 64}"},
        "RemoteImage": {"imageId": f"sha256:{'f' * 64}"},
        "DockerService": {"state": "Healthy", "problems": [], "generation": {"number": 1}},
        "DockerFrontDoor": {"state": "Healthy", "problems": [], "metricsPort": 6790},
        "NodePoolCluster": {"identity": {"context": "prod", "server": "https://one", "uid": "u-1"}},
        "NodePoolAddress": {"address": "203.0.113.7", "problem": ""},
        "NodePoolRollout": {"state": "Healthy", "problems": []},
        "NodePoolCanary": {"serving": "", "candidate": "", "weight": 0, "state": "Healthy", "problems": []},
        "AccessKey": {"key": "k" * 43},
        "StackReference": {
            "outputs": {"kubeconfig": json.dumps(OTHERS), "asObject": {"users": ["s3cret"]}},
            "secretOutputNames": ["kubeconfig", "asObject"],
        },
        "SmokeCheck": {"checks": 5},
        "NodePoolCheck": {"checks": 5},
        "ServiceVersion": {"number": 3, "digest": "sha256:3"},
    }

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise AssertionError(f"the program must preview without a provider plugin, and invokes {args.token}")

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        inputs = {name: rpc.unwrap_rpc_secret(value) for name, value in args.inputs.items()}
        added = dict(self.added.get(args.typ.rpartition(":")[2], {}))
        if args.name.endswith("-secondary"):  # a key of its own
            added["key"] = "s" * 43
        return f"{args.name}-id", {**inputs, **added}


@dataclasses.dataclass
class Declared:
    """What a declaration registered, by name, and the values of the outputs that it gave back."""

    resources: dict[str, Registered]
    values: Any
    secret: Any


@pytest.fixture(autouse=True)
def _event_loop() -> Iterator[None]:
    """The loop that Pulumi's resources are made on, whatever other tests have left behind."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    # A program that failed leaves calls and outputs on this loop.
    runtime._get_rpc_manager().clear()
    runtime.SETTINGS.outputs.clear()
    loop.close()
    asyncio.set_event_loop(None)


@pytest.fixture
def declare() -> Callable[..., Declared]:
    """Run a function that declares components, with Pulumi's engine mocked.

    It may return a mapping of names to outputs, whose values and secretness are given back.
    """

    def run(function: Callable[[], Any], *, preview: bool = False) -> Declared:
        deployment._CHECKED.clear()  # each run is a program of its own
        recorder = Recorder(Outputs())
        mocks.set_mocks(recorder.mocks, project="triton-serving", stack="test", preview=preview, monitor=recorder)
        values: dict[str, Any] = {}
        secret: dict[str, bool] = {}

        async def resolve() -> None:
            for name, output in (function() or {}).items():
                taken = pulumi.Output.from_input(output)
                values[name] = await taken.future()
                secret[name] = await taken.is_secret()

        _sync_await(run_pulumi_func(lambda: _sync_await(resolve())))
        return Declared(recorder.seen, values, secret)

    return run


@pytest.fixture
def bundle_folder(tmp_path: Path) -> Path:
    """A bundle's folder with the digits model."""
    folder = tmp_path / "models"
    shutil.copytree(PROJECT / "model_repository" / "triton" / "digits", folder / "triton" / "digits")
    return folder


@pytest.fixture
def settings_with(tmp_path: Path, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Make settings from what differs from a small stack's: one folder with the digits model, no script."""
    monkeypatch.chdir(tmp_path)  # the program's folder, at which the components' paths start

    def make(**changed: Any) -> Settings:
        values = {"models": [{"path": str(bundle_folder), "name": "triton_model"}], **changed}
        # Not the default, on which a service of whoever runs the tests may listen.
        values["deployment"] = {"port": 16789, **values.get("deployment", {})}
        return load(
            values,
            subject=file_of("test"),
            project=tmp_path,
            secret=[name for name in values if name.endswith(("Key", "Password"))],
        )

    return make


def bundles_of(settings: Settings) -> list[ModelBundle]:
    """Declare the bundles of a service named `svc`."""
    places = {"registry": settings.registry, "state_directory": settings.state_directory}
    return [ModelBundle(f"svc-{model.name}", **model.given(), **places) for model in settings.models]


def secrets_of(settings: Settings) -> Secrets:
    """The secrets of a service."""
    return Secrets(
        primary_key=settings.primary_key,
        secondary_key=settings.secondary_key,
        image_password=settings.image_password,
    )


@pytest.fixture
def declare_service(declare: Any, tmp_path: Path) -> Callable[[Settings], Declared]:
    """Declare everything of a service on target `process`, named `svc`."""

    def run(settings: Settings) -> Declared:
        def declared() -> dict[str, Any]:
            ProcessDeployment.check(SERVICE, settings)  # as the service does before it declares anything
            keys = AccessKeys("svc-keys", AccessKeysArgs.of(settings, secrets_of(settings)))
            bundles = bundles_of(settings)
            deployment = ProcessDeployment(
                "svc-dep", MachineDeploymentArgs(settings, bundles=bundles, owner=stack_name())
            )
            gateway = Gateway("svc-gw", GatewayArgs(settings, keys=keys, deployment=deployment))
            SmokeCheck("svc-check", SmokeCheckArgs(settings, bundles, keys, deployment, gateway))
            return {
                "state": gateway.state,
                "shape": deployment.shape,
                "environment": deployment.environment,
                "scoringUri": gateway.scoring_uri,
                "tritonUri": gateway.triton_uri,
                "grpcUri": gateway.grpc_uri,
                "swaggerUri": gateway.swagger_uri,
                "metricsUri": gateway.metrics_uri,
            }

        return declare(declared)

    return run


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder of scripts, where settings look for it by default, with `score.py`."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "score.py").write_text("def init(): pass\ndef run(data): return data\n")
    return folder


@pytest.fixture
def program(request: Any, monkeypatch: pytest.MonkeyPatch, settings_with: Any) -> Callable[..., dict[str, Any]]:
    """Run the program with given settings; gives what it exports."""

    def run(settings: Settings | None = None, error: Exception | None = None) -> dict[str, Any]:
        exported: dict[str, Any] = {}
        monkeypatch.setattr(pulumi, "export", exported.__setitem__)

        def given(_project: Path) -> Settings:
            if error is not None:
                raise error
            return settings or settings_with()

        monkeypatch.setattr(reading, "stack_settings", given)
        monkeypatch.setattr(signal, "signal", lambda *_: None)  # the tests' own interrupts stay theirs
        runpy.run_path(str(request.config.rootpath / "__main__.py"), run_name="__main__")
        return exported

    return run
