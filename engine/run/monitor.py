"""The gRPC services that a program speaks to: ResourceMonitor, where it registers resources, and Engine, its log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol

import grpc
from google.protobuf import empty_pb2

from engine.errors import CLI_HINT, EngineError
from engine.providers.proto import CHANNEL_OPTIONS, engine_pb2, engine_pb2_grpc, resource_pb2, resource_pb2_grpc
from engine.run.construction import Constructions
from engine.run.default_providers import DefaultProviders
from engine.run.goals import Goal, Registers
from engine.run.reading import Readings
from engine.run.request import goal_of, inputs_of, refuse_lacking
from engine.state.checkpoint import PROVIDER_PREFIX
from engine.state.stack_file import Configuration
from engine.state.values import UNKNOWN_TEXT, Properties, from_struct, to_struct

FEATURES = {
    "secrets": resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    "resourceReferences": resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
    "outputValues": resource_pb2.RESOURCE_MONITOR_FEATURE_OUTPUT_VALUES,
    "aliasSpecs": resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
    "deletedWith": resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
}
"""What the engine can do, by the names that older SDKs ask for."""

_GET_RESOURCE = "pulumi:pulumi:getResource"
"""The function by which an SDK makes a resource of a reference to one."""

_GRACE = 1.0
"""Seconds for the calls under way when a service stops."""
_FOLLOWS = "Resource monitor has terminated"
"""What the SDK says where an operation ended meanwhile: why it ended is told already."""

_THREADS = 128
"""Registrations that may wait at once: for a provider, for the end, or for another registration's provider."""


class Log(Protocol):
    """Who gets messages: `severity` is `info`, `warning` or `error`; `urn` may be empty. A status message passes."""

    def log(self, severity: str, message: str, urn: str = "") -> None:
        """Take a message."""

    def status(self, message: str, urn: str) -> None:
        """Take a message that passes."""


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """Takes the registrations of a program, and of plugins that make components, to those who carry them out.

    After a registration has failed, `failed` is called, and that call and every later one wait for `close`: a program
    that heard of the failure would only print a traceback of its own.
    """

    address = ""
    """Where the service is, once it is served."""

    def __init__(
        self,
        registrations: Registers,
        readings: Readings,
        constructions: Constructions,
        set_outputs: Callable[[str, Properties], None],
        info: resource_pb2.DeploymentInfo,
        *,
        on_done: Callable[[], None],
        on_failed: Callable[[EngineError], None],
    ) -> None:
        self._registrations = registrations
        self._readings = readings
        self._constructions = constructions
        self._set_outputs = set_outputs
        self._info = info
        self._on_done = on_done
        self._on_failed = on_failed
        self._default_providers = DefaultProviders(registrations, info)
        self._closed = threading.Event()
        self._lock = threading.Condition()
        self._working = 0
        self._over = False

    def close(self) -> None:
        """Answer the calls that wait."""
        self._closed.set()

    def finish(self) -> None:
        """Wait for the registrations under way, and begin no other: a plugin may go on after the program's end."""
        with self._lock:
            self._over = True
            self._lock.wait_for(lambda: self._working == 0)

    @contextmanager
    def _call(self, context: grpc.ServicerContext) -> Iterator[None]:
        with self._lock:
            over = self._over
            self._working += not over
        if over:
            self._closed.wait()
            context.abort(grpc.StatusCode.UNAVAILABLE, "The operation is over.")
        failure: EngineError | None = None
        try:
            yield
        except EngineError as error:
            failure = error
        finally:
            self._count(-1)
        if failure is not None:
            self._on_failed(failure)
            self._closed.wait()
            context.abort(grpc.StatusCode.UNAVAILABLE, str(failure))

    def _count(self, difference: int) -> None:
        with self._lock:
            self._working += difference
            self._lock.notify_all()

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Leave the call out of those under way while a plugin makes a component: what it registers counts itself."""
        self._count(-1)
        try:
            yield
        finally:
            self._count(1)

    def GetDeploymentInfo(self, request: Any, context: grpc.ServicerContext) -> resource_pb2.DeploymentInfo:
        """Answer with the stack, its configuration and what the engine can do."""
        return self._info

    def SupportsFeature(
        self, request: resource_pb2.SupportsFeatureRequest, context: grpc.ServicerContext
    ) -> resource_pb2.SupportsFeatureResponse:
        """Tell whether the engine can do what an older SDK asks for."""
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in FEATURES)

    def RegisterResource(
        self, request: resource_pb2.RegisterResourceRequest, context: grpc.ServicerContext
    ) -> resource_pb2.RegisterResourceResponse:
        """Make a resource what the program wants it to be, or have a plugin make a component."""
        response = resource_pb2.RegisterResourceResponse()
        with self._call(context):
            refuse_lacking(request)
            package, provider = request.type.split(":")[0], request.provider
            if request.remote:
                provider = provider or request.providers.get(package) or self._default_provider(request)
                return self._constructions.construct(request, provider, self.address, self._aside)
            if request.custom and not provider and not request.type.startswith(PROVIDER_PREFIX):
                provider = self._default_provider(request)
            resource = self._registrations.register(goal_of(request, provider))
            response.urn, response.id = resource.urn, resource.id
            if request.custom:  # a component's outputs may refer to resources that are not registered yet
                response.object.CopyFrom(to_struct(resource.outputs))
            response.unknown = resource.id == UNKNOWN_TEXT and not self._info.dryRun
        return response

    def _default_provider(
        self, request: resource_pb2.RegisterResourceRequest | resource_pb2.ReadResourceRequest
    ) -> str:
        return self._default_providers.reference(request.type.split(":")[0], request.version)

    def ReadResource(
        self, request: resource_pb2.ReadResourceRequest, context: grpc.ServicerContext
    ) -> resource_pb2.ReadResourceResponse:
        """Read an object that is not the stack's own."""
        response = resource_pb2.ReadResourceResponse()
        with self._call(context):
            goal = Goal(
                type=request.type,
                name=request.name,
                custom=True,
                inputs=inputs_of(request.name, request.properties),
                parent=request.parent,
                provider=request.provider or self._default_provider(request),
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

    def Invoke(
        self, request: resource_pb2.ResourceInvokeRequest, context: grpc.ServicerContext
    ) -> resource_pb2.ResourceInvokeResponse:
        """Answer with a resource of this run, where an SDK makes it of a reference; the engine calls no functions."""
        if request.tok != _GET_RESOURCE:
            self._unsupported(context, f"calls the function '{request.tok}'")
        response = resource_pb2.ResourceInvokeResponse()
        with self._call(context):
            self._default_providers.reference("pulumi", request.version)  # the CLI has it in the state
            found = self._readings.registered(from_struct(request.args)["urn"])
            state = to_struct({"urn": found.urn, "id": found.id, "provider": found.provider, "state": found.outputs})
            getattr(response, "return").CopyFrom(state)
        return response

    def Call(self, request: resource_pb2.ResourceCallRequest, context: grpc.ServicerContext) -> NoReturn:
        """Refuse: the engine calls no methods."""
        self._unsupported(context, f"calls the method '{request.tok}'")

    def RegisterPackage(self, request: resource_pb2.RegisterPackageRequest, context: grpc.ServicerContext) -> NoReturn:
        """Refuse: the engine has no parameterized packages."""
        self._unsupported(context, f"uses the parameterized package '{request.name}'")

    def _unsupported(self, context: grpc.ServicerContext, what: str) -> NoReturn:
        with self._call(context):
            raise EngineError(
                f"The program, or a component's plugin, {what}, which the embedded engine does not support. {CLI_HINT}"
            )
        raise AssertionError


class LogService(engine_pb2_grpc.EngineServicer):
    """Takes the messages of programs and providers."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._root = ""
        self.errors = 0

    def Log(self, request: engine_pb2.LogRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Take a message of a program or a provider."""
        if _FOLLOWS in request.message:
            return empty_pb2.Empty()
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
        supportedFeatures=FEATURES.values(),
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
        if isinstance(service, Monitor):
            service.address = self.address
        self._grpc.start()

    def stop(self) -> None:
        """Stop the service; calls under way have a moment to end, or gRPC would warn of it in the clients' outputs."""
        self._grpc.stop(_GRACE).wait()
