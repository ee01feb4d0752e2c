"""Run the programs under Pulumi's mocks: what they register, with which inputs, and what they export."""

import asyncio
import base64
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks, rpc
from pulumi.runtime import settings as runtime
from pulumi.runtime.stack import run_pulumi_func
from pulumi.runtime.sync_await import _sync_await

CLUSTER = Path(__file__).resolve().parents[1]
REPOSITORY = CLUSTER.parents[1]
KUBECONFIG = "apiVersion: v1\nkind: Config\n"
REGISTRY = {"name": "tritonregistry1a2b", "loginServer": "tritonregistry1a2b.azurecr.io"}


@dataclass(frozen=True)
class Registered:
    """A resource as it was registered; `secrets` are the inputs that are marked so."""

    type: str
    inputs: dict[str, Any]
    secrets: frozenset[str]
    depends_on: frozenset[str]


@dataclass
class Ran:
    """What a program registered, by name, and exported; `secret` names the exports that are secrets."""

    resources: dict[str, Registered] = field(default_factory=dict)
    exports: dict[str, Any] = field(default_factory=dict)
    secret: set[str] = field(default_factory=set)

    def of(self, kind: str) -> Registered:
        """The one resource of a type, by the type's last word."""
        (found,) = (resource for resource in self.resources.values() if resource.type.rpartition(":")[2] == kind)
        return found


class Azure(mocks.Mocks):
    """What Azure and another stack would answer."""

    added = {
        "Registry": REGISTRY,
        "ManagedCluster": {
            "name": "triton-cluster1a2b",
            "identityProfile": {
                "kubeletidentity": {"objectId": "nodes-object", "clientId": "nodes-client", "resourceId": "/nodes"}
            },
        },
        "StackReference": {
            "outputs": {
                "imageRepository": f"{REGISTRY['loginServer']}/triton-webservice",
                "spareGpus": 1,
                "kubeconfig": KUBECONFIG,
            },
            "secretOutputNames": ["kubeconfig"],
        },
    }

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        return {
            "getClientConfig": {"subscriptionId": "s-1", "tenantId": "t-1", "clientId": "c-1", "objectId": "o-1"},
            "listManagedClusterUserCredentials": {
                "kubeconfigs": [{"name": "clusterUser", "value": base64.b64encode(KUBECONFIG.encode()).decode()}]
            },
        }[args.token.rpartition(":")[2]]

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        inputs = {name: rpc.unwrap_rpc_secret(value) for name, value in args.inputs.items()}
        return f"{args.name}-id", {"name": args.name, **inputs, **self.added.get(args.typ.rpartition(":")[2], {})}


class Recorder(mocks.MockMonitor):
    """Pulumi's mock monitor, which also keeps each request."""

    def __init__(self, ran: Ran) -> None:
        super().__init__(Azure())
        self._ran = ran

    def RegisterResource(self, request: Any) -> Any:
        inputs = rpc.deserialize_properties(request.object)
        self._ran.resources[request.name] = Registered(
            type=request.type,
            inputs={name: rpc.unwrap_rpc_secret(value) for name, value in inputs.items()},
            secrets=frozenset(name for name, value in inputs.items() if rpc.is_rpc_secret(value)),
            depends_on=frozenset(urn.rpartition("::")[2] for urn in request.dependencies),
        )
        return super().RegisterResource(request)


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    """A loop for Pulumi's resources, and modules and paths as they were before a program added its own."""
    paths, modules = list(sys.path), set(sys.modules)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    sys.path[:] = paths
    for name in set(sys.modules) - modules:
        if name == "aks":
            del sys.modules[name]
    # A program that failed leaves calls and outputs waiting on this loop.
    runtime._get_rpc_manager().clear()
    runtime.SETTINGS.outputs.clear()
    for task in (waiting := asyncio.all_tasks(loop)):
        task.cancel()
    loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
    asyncio.set_event_loop(None)
    loop.close()


@dataclass
class Login:
    """What this machine's `az acr login` answers, and the commands that it was asked."""

    returncode: int = 0
    stderr: str = ""
    commands: list[list[str]] = field(default_factory=list)

    def run(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        return subprocess.CompletedProcess(command, self.returncode, stdout="", stderr=self.stderr)


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> Login:
    answer = Login()
    monkeypatch.setattr(subprocess, "run", answer.run)
    return answer


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the program of a folder, at `up` or at preview, under a stack's settings."""

    def run(folder: str, *, preview: bool = False, **settings: str) -> Ran:
        ran = Ran()
        outputs: dict[str, pulumi.Output[Any]] = {}
        mocks.set_mocks(
            Azure(),
            project="examples",
            stack="dev",
            preview=preview,
            monitor=Recorder(ran),
            organization="organization",
        )
        pulumi.runtime.set_all_config({f"examples:{name}": value for name, value in settings.items()})
        monkeypatch.setattr(
            pulumi, "export", lambda name, value: outputs.update({name: pulumi.Output.from_input(value)})
        )

        async def program() -> None:
            runpy.run_path(str(CLUSTER / folder / "__main__.py"), run_name="__main__")

        _sync_await(run_pulumi_func(lambda: _sync_await(program())))
        for name, output in outputs.items():
            ran.exports[name] = _sync_await(output.future())
            if _sync_await(output.is_secret()):
                ran.secret.add(name)
        return ran

    return run
