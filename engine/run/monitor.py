"""The gRPC services that a program speaks to: ResourceMonitor, where it registers resources, and Engine, its log."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol

import grpc
from google.protobuf import empty_pb2

from engine.errors import CLI_HINT, EngineError
from engine.providers.proto import CHANNEL_OPTIONS, engine_pb2, engine_pb2_grpc, resource_pb2, resource_pb2_grpc
from engine.run.goals import Alias, Goal
from engine.run.reading import Readings
from engine.state.checkpoint import DYNAMIC_PACKAGE, PROVIDER_PREFIX, Resource
from engine.state.stack_file import Configuration
from engine.state.values import UNKNOWN_TEXT, Properties, Secret, from_struct, to_struct

FEATURES = (
    resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
    resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
)

_THREADS = 128
"""Registrations that may wait at once: for a provider, for the end, or for another registration's provider."""

_LACKING = {"replacement_trigger": "replacement_trigger", "envVarMappings": "env_var_mappings"}
"""The options of a registration that this engine does not heed, by field; others the SDK itself refuses to send."""

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class Log(Protocol):
    """Who gets messages: `severity` is `info`, `warning` or `error`; `urn` may be empty. A status message passes."""

    def log(self, severity: str, message: str, urn: str = "") -> None:
        """Take a message."""

    def status(self, message: str, urn: str) -> None:
        """Take a message that passes."""


class Registers(Protocol):
    """Who carries out registrations."""

    def register(self, goal: Goal) -> Resource:
        """Make the resource what the program wants it to be."""


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """Takes a program's registrations to those who carry them out.

    After a registration has failed, `failed` is called, and that call and every later one wait for `close`: a program
    that heard of the failure would only print a traceback of its own.
    """

    def __init__(
        self,
        registrations: Registers,
        readings: Readings,
        set_outputs: Callable[[str, Properties], None],
        info: resource_pb2.DeploymentInfo,
        *,
        on_done: Callable[[], None],
        on_failed: Callable[[EngineError], None],
    ) -> None:
        self._registrations = registrations
        self._readings = readings
        self._set_outputs = set_outputs
        self._info = info
        self._on_done = on_done
        self._on_failed = on_failed
        self._closed = threading.Event()
        self._lock = threading.Condition()
        self._working = 0
        self._default_providers: dict[tuple[str, str], Future[str]] = {}

    def close(self) -> None:
        """Answer the calls that wait."""
        self._closed.set()

    def wait_until_idle(self) -> None:
        """Wait for the registrations under way."""
        with self._lock:
            self._lock.wait_for(lambda: self._working == 0)

    @contextmanager
    def _call(self, context: grpc.ServicerContext) -> Iterator[None]:
        with self._lock:
            self._working += 1
        failure: EngineError | None = None
        try:
            yield
        except EngineError as error:
            failure = error
        finally:
            with self._lock:
                self._working -= 1
                self._lock.notify_all()
        if failure is not None:
            self._on_failed(failure)
            self._closed.wait()
            context.abort(grpc.StatusCode.UNAVAILABLE, str(failure))

    def GetDeploymentInfo(self, request: Any, context: grpc.ServicerContext) -> resource_pb2.DeploymentInfo:
        """Answer with the stack, its configuration and what the engine can do."""
        return self._info

    def RegisterResource(
        self, request: resource_pb2.RegisterResourceRequest, context: grpc.ServicerContext
    ) -> resource_pb2.RegisterResourceResponse:
        """Make a resource what the program wants it to be."""
        response = resource_pb2.RegisterResourceResponse()
        with self._call(context):
            resource = self._registrations.register(self._goal(request))
            response.urn, response.id = resource.urn, resource.id
            response.object.CopyFrom(to_struct(resource.outputs))
            response.unknown = resource.id == UNKNOWN_TEXT and not self._info.dryRun
        return response

    def _goal(self, request: resource_pb2.RegisterResourceRequest) -> Goal:
        if request.remote:
            raise EngineError(
                f"'{request.name}' ({request.type}) is a component that a plugin makes, which the embedded engine does "
                f"not support. {CLI_HINT}"
            )
        if option := next((_LACKING[field.name] for field, _ in request.ListFields() if field.name in _LACKING), None):
            raise EngineError(
                f"'{request.name}' has the option {option}, which the embedded engine does not have. {CLI_HINT}"
            )
        if request.importId:
            raise EngineError(f"'{request.name}' is to be imported, which the embedded engine does not do. {CLI_HINT}")
        inputs = _inputs(request.name, request.object)
        provider = request.provider
        if request.custom and not provider and not request.type.startswith(PROVIDER_PREFIX):
            provider = self._default_provider(request.type.split(":")[0], request.version)
        if request.type.startswith(PROVIDER_PREFIX) and request.version:
            inputs |= _version(request.version)
        return Goal(
            type=request.type,
            name=request.name,
            custom=request.custom,
            inputs=inputs,
            parent=request.parent,
            provider=provider,
            protect=request.protect,
            dependencies=tuple(sorted(request.dependencies)),
            property_dependencies={key: sorted(deps.urns) for key, deps in request.propertyDependencies.items()},
            delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
            ignore_changes=tuple(request.ignoreChanges),
            replace_on_changes=tuple(request.replaceOnChanges),
            additional_secret_outputs=tuple(request.additionalSecretOutputs),
            aliases=tuple(_alias(alias) for alias in request.aliases),
            custom_timeouts=_timeouts(request.customTimeouts),
            retain_on_delete=request.retainOnDelete,
            deleted_with=request.deletedWith,
        )

    def _default_provider(self, package: str, version: str) -> str:
        """Return the reference of the package's default provider; register it on first need."""
        with self._lock:
            known = self._default_providers.get((package, version))
            future = known or Future()
            self._default_providers[package, version] = future
        if known is None:
            try:
                future.set_result(_reference(self._registrations.register(self._default_goal(package, version))))
            except EngineError as error:
                future.set_exception(error)
        return future.result()

    def _default_goal(self, package: str, version: str) -> Goal:
        inputs: Properties = {}
        for key, text in self._info.config.items():
            namespace, _, name = key.partition(":")
            if package == DYNAMIC_PACKAGE or namespace == package:
                value = Secret(text) if key in self._info.configSecretKeys else text
                inputs[key if package == DYNAMIC_PACKAGE else name] = value
        if version:
            inputs |= _version(version)
        name = "_".join(["default", *re.split(r"[.+-]", version.removeprefix("v"))]) if version else "default"
        return Goal(f"{PROVIDER_PREFIX}{package}", name, custom=True, inputs=inputs)

    def ReadResource(
        self, request: resource_pb2.ReadResourceRequest, context: grpc.ServicerContext
    ) -> resource_pb2.ReadResourceResponse:
        """Read an object that is not the stack's own."""
        response = resource_pb2.ReadResourceResponse()
        with self._call(context):
            package = request.type.split(":")[0]
            goal = Goal(
                type=request.type,
                name=request.name,
                custom=True,
                inputs=_inputs(request.name, request.properties),
                parent=request.parent,
                provider=request.provider or self._default_provider(package, request.version),
                dependencies=tuple(sorted(request.dependencies)),
                additional_secret_outputs=tuple(request.additionalSecretOutputs),
            )
            resource = self._readings.read(goal, request.id)
            response.urn = resource.urn
            response.properties.CopyFrom(to_struct(resource.outputs))
        return response

    def RegisterResourceOutputs(
        self, request: resource_pb2.RegisterResourceOutputsRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """Set the outputs of a component, or of the stack."""
        with self._call(context):
            self._set_outputs(request.urn, from_struct(request.outputs))
        return empty_pb2.Empty()

    def SignalAndWaitForShutdown(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Take the program as done, and have it wait for the operation's end."""
        self._on_done()
        self._closed.wait()
        return empty_pb2.Empty()

    def Invoke(self, request: resource_pb2.ResourceInvokeRequest, context: grpc.ServicerContext) -> NoReturn:
        """Refuse: the engine calls no functions."""
        self._unsupported(context, f"calls the function '{request.tok}'")

    def Call(self, request: resource_pb2.ResourceCallRequest, context: grpc.ServicerContext) -> NoReturn:
        """Refuse: the engine calls no methods."""
        self._unsupported(context, f"calls the method '{request.tok}'")

    def RegisterPackage(self, request: resource_pb2.RegisterPackageRequest, context: grpc.ServicerContext) -> NoReturn:
        """Refuse: the engine has no parameterized packages."""
        self._unsupported(context, f"uses the parameterized package '{request.name}'")

    def _unsupported(self, context: grpc.ServicerContext, what: str) -> NoReturn:
        with self._call(context):
            raise EngineError(f"The program {what}, which the embedded engine does not support. {CLI_HINT}")
        raise AssertionError


def _inputs(name: str, struct: Any) -> Properties:
    """Return the properties of the resource `name`.

    Raises:
        EngineError: A file of it cannot be read.
    """
    try:
        return from_struct(struct)
    except OSError as error:
        raise EngineError(
            f"'{name}' has the file '{error.filename}', which cannot be read: {error.strerror}."
        ) from None


def _version(version: str) -> Properties:
    """Return the inputs that tell a provider's version, as the CLI writes them."""
    return {"__internal": {}, "version": version}


def _reference(provider: Resource) -> str:
    return f"{provider.urn}::{provider.id}"


def _alias(alias: Any) -> Alias:
    if alias.urn:
        return Alias(urn=alias.urn)
    spec = alias.spec
    if spec.stack or spec.project:
        raise EngineError(f"An alias names another stack or project, which the embedded engine does not do. {CLI_HINT}")
    return Alias(name=spec.name, type=spec.type, parent="" if spec.noParent else spec.parentUrn or None)


def _timeouts(timeouts: Any) -> dict[str, float]:
    """Seconds by operation, from durations such as `1h30m`."""
    texts = {name: getattr(timeouts, name) for name in ("create", "update", "delete", "read")}
    return {name: _seconds(text) for name, text in texts.items() if text}


def _seconds(text: str) -> float:
    parts = re.findall(r"([0-9.]+)(ms|h|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise EngineError(f"customTimeouts: '{text}' is not a duration. Expected for example '90s' or '1h30m'.")
    seconds: float = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return int(seconds) if seconds.is_integer() else seconds


class LogService(engine_pb2_grpc.EngineServicer):
    """Takes the messages of programs and providers."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._root = ""
        self.errors = 0

    def Log(self, request: engine_pb2.LogRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Take a message of a program or a provider."""
        severity = engine_pb2.LogSeverity.Name(request.severity).lower()
        self.errors += severity == "error" and not request.ephemeral
        if request.ephemeral:
            self._log.status(request.message, request.urn)
        elif severity != "debug":
            self._log.log(severity, request.message, request.urn)
        return empty_pb2.Empty()

    def SetRootResource(self, request: Any, context: grpc.ServicerContext) -> engine_pb2.SetRootResourceResponse:
        """Keep the stack's URN."""
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def GetRootResource(self, request: Any, context: grpc.ServicerContext) -> engine_pb2.GetRootResourceResponse:
        """Answer with the stack's URN."""
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def RequirePulumiVersion(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Accept every version: the engine has none of the CLI's."""
        return engine_pb2.RequirePulumiVersionResponse()


def deployment_info(
    project: str, stack: str, configuration: Configuration, *, preview: bool, parallel: int
) -> resource_pb2.DeploymentInfo:
    """Return what a program is told of its stack and its engine."""
    return resource_pb2.DeploymentInfo(
        project=project,
        stack=stack,
        organization="organization",
        config=configuration.values,
        configSecretKeys=sorted(configuration.secret_keys),
        dryRun=preview,
        parallel=parallel,
        supportedFeatures=FEATURES,
    )


class Server:
    """A service on a free port of the loopback interface, up from the start."""

    def __init__(self, service: Monitor | LogService) -> None:
        self._grpc = grpc.server(ThreadPoolExecutor(max_workers=_THREADS), options=CHANNEL_OPTIONS)
        if isinstance(service, Monitor):
            resource_pb2_grpc.add_ResourceMonitorServicer_to_server(service, self._grpc)
        else:
            engine_pb2_grpc.add_EngineServicer_to_server(service, self._grpc)
        self.address = f"127.0.0.1:{self._grpc.add_insecure_port('127.0.0.1:0')}"
        self._grpc.start()

    def stop(self) -> None:
        """Stop the service at once."""
        self._grpc.stop(None).wait()
