"""The engine's side: requests over gRPC, answered by the types of resources.

Pulumi's own servicer (`pulumi.provider.experimental`) answers an exception with its traceback, and knows neither old
inputs nor a resource that was made half-way. So the generated protocol is served here. Each request works in a thread
of its own; `Cancel` ends the waits of all of them.
"""

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import wraps
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2, empty_pb2
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)
from pydantic import BaseModel, TypeAdapter, ValidationError

from common.bugs import BUGS
from common.redaction import redacted
from common.waiting import cancel
from provider.difference import difference, path_text
from provider.resource_type import IncompleteError, ResourceType, Say, resource_type
from provider.wire_values import Properties, from_model, plain, unknown_paths

__all__ = ["VERSION", "TritonProvider", "main"]

VERSION = "0.1.0"
_EVERY_STACK = ("AccessKey", "RegisteredModel", "SmokeCheck")
_AT_ONCE = 64  # the engine asks for as many as may work at once


def _told(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Answer an exception by its words; by its whole traceback where it is a mistake in our code."""

    @wraps(method)
    async def call(self: "TritonProvider", request: Any, context: Any) -> Any:
        try:
            return await method(self, request, context)
        except IncompleteError as error:
            await _abort_incomplete(context, request, error)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            own = isinstance(error, BUGS) or not str(error)
            text = "".join(traceback.format_exception(error)) if own else str(error)
            await context.abort(grpc.StatusCode.UNKNOWN, redacted(text))

    return call


class TritonProvider(provider_pb2_grpc.ResourceProviderServicer):
    """The provider `triton`, as `provider.proto` describes one."""

    def __init__(self, engine: str, components: Callable[[], Any] | None = None) -> None:
        self._address, self._components = engine, components
        self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine, options=_GRPC_CHANNEL_OPTIONS))

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Tell the version."""
        return plugin_pb2.PluginInfo(version=VERSION)

    async def GetSchema(self, request: Any, context: Any) -> Any:
        """Describe the types of resources, and the components."""
        components = self._components().COMPONENTS if self._components else {}
        from provider.package_schema import schema  # few engines ask for it, and it imports all settings

        return provider_pb2.GetSchemaResponse(schema=schema(VERSION, components))

    async def CheckConfig(self, request: Any, context: Any) -> Any:
        """Take the configuration: there is none."""
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: Any, context: Any) -> Any:
        """Nothing of the configuration changes."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def Configure(self, request: Any, context: Any) -> Any:
        """Say which values are understood. A preview makes nothing."""
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, acceptResources=True, acceptOutputs=False, supportsPreview=False
        )

    @_told
    async def Construct(self, request: Any, context: Any) -> Any:
        """Construct a component."""
        if self._components is None:
            return await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this provider has no components")
        return await self._components().construct(request, self._address)

    async def Cancel(self, request: Any, context: Any) -> Any:
        """End all waits in order."""
        cancel()
        return empty_pb2.Empty()

    @_told
    async def Check(self, request: Any, context: Any) -> Any:
        """Tell every mistake in the inputs."""
        kind, news = _type(request.urn), plain(PropertyValue.unmarshal_map(request.news))
        failures = [
            provider_pb2.CheckFailure(property=path_text(path), reason=reason)
            for path, reason in mistakes(kind.inputs, news)
        ]
        if not failures and not unknown_paths(news):
            await asyncio.to_thread(kind.check, kind.inputs.model_validate(news))
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    @_told
    async def Diff(self, request: Any, context: Any) -> Any:
        """Tell what an update would change."""
        kind = _type(request.urn)
        state = plain(PropertyValue.unmarshal_map(request.olds))
        declared = plain(PropertyValue.unmarshal_map(request.old_inputs))
        news = plain(PropertyValue.unmarshal_map(request.news))
        changes = await asyncio.to_thread(planned, kind, declared, state, news)
        some = provider_pb2.DiffResponse.DIFF_SOME if changes else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=some,
            diffs=sorted({path.partition(".")[0].partition("[")[0] for path in changes}),
            detailedDiff=changes,
            hasDetailedDiff=True,
        )

    @_told
    async def Create(self, request: Any, context: Any) -> Any:
        """Make a resource."""
        kind, properties = _type(request.urn), PropertyValue.unmarshal_map(request.properties)
        inputs = kind.inputs.model_validate(plain(properties))
        made = await asyncio.to_thread(kind.create, inputs, self._say(request.urn))
        made_id = await asyncio.to_thread(kind.id, inputs)
        return provider_pb2.CreateResponse(id=made_id, properties=_state(properties, made))

    @_told
    async def Update(self, request: Any, context: Any) -> Any:
        """Change a resource."""
        kind, properties = _type(request.urn), PropertyValue.unmarshal_map(request.news)
        old, known = _known(kind, request.old_inputs, request.olds)
        new = kind.inputs.model_validate(plain(properties))
        made = await asyncio.to_thread(kind.update, old, known, new, self._say(request.urn))
        return provider_pb2.UpdateResponse(properties=_state(properties, made))

    @_told
    async def Read(self, request: Any, context: Any) -> Any:
        """Measure a resource."""
        kind = _type(request.urn)
        old, known = _known(kind, request.inputs, request.properties)
        found = await asyncio.to_thread(kind.read, old, known, self._say(request.urn))
        inputs = PropertyValue.unmarshal_map(request.inputs)
        return provider_pb2.ReadResponse(id=request.id, properties=_state(inputs, found), inputs=request.inputs)

    @_told
    async def Delete(self, request: Any, context: Any) -> Any:
        """Remove a resource."""
        kind = _type(request.urn)
        old, known = _known(kind, request.old_inputs, request.properties)
        await asyncio.to_thread(kind.delete, old, known, self._say(request.urn))
        return empty_pb2.Empty()

    def _say(self, urn: str) -> Say:
        def say(line: str) -> None:
            request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=redacted(line), urn=urn, streamId=0)
            with suppress(grpc.RpcError):  # an engine that is gone is no reason to fail what goes on
                self._engine.Log(request)

        return say


def mistakes(model: type[BaseModel], news: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    """Every mistake in new inputs, with its path and its reason; what is not known yet is none."""
    unknown = unknown_paths(news)
    try:
        model.model_validate(news)
    except ValidationError as error:
        return [
            (item["loc"], item["msg"])
            for item in error.errors(include_url=False, include_input=False)
            if item["type"] == "extra_forbidden" or not any(_overlap(item["loc"], path) for path in unknown)
        ]
    return []


def _overlap(one: tuple[str | int, ...], other: tuple[str | int, ...]) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def planned(
    kind: ResourceType[Any, Any], declared: dict[str, Any], state: dict[str, Any], news: dict[str, Any]
) -> dict[str, Any]:
    """What an update would change, by property path."""
    fields = kind.inputs.model_fields
    ignored = {fields[name].alias or name for name in kind.ignored}
    compared = ({k: v for k, v in side.items() if v is not None and k not in ignored} for side in (declared, news))
    changes = difference(*compared)
    old, known = _read(kind, declared, state)
    new = None if unknown_paths(news) else kind.inputs.model_validate(news)
    if new is not None:
        kind.check_update(old, known, new)
    if not changes:
        outputs = kind.outputs.model_fields
        # By the new inputs: a credential that was renewed is none of the changes, and the old one leads nowhere.
        for name in kind.drifted(new, known) if new is not None else ():
            changes[outputs[name].alias or name] = provider_pb2.PropertyDiff(kind=provider_pb2.PropertyDiff.UPDATE)
        return changes
    return {path: provider_pb2.PropertyDiff(kind=change, inputDiff=True) for path, change in changes.items()}


def _type(urn: str) -> ResourceType[Any, Any]:
    name = urn.split("::")[2].rpartition("$")[2].rpartition(":")[2]
    try:
        return resource_type(name)
    except KeyError:
        raise ValueError(f"the provider triton has no type of resource '{name}'") from None


def _known(kind: ResourceType[Any, Any], inputs: Any, state: Any) -> tuple[Any, Any]:
    return _read(kind, plain(PropertyValue.unmarshal_map(inputs)), plain(PropertyValue.unmarshal_map(state)))


def _read(kind: ResourceType[Any, Any], declared: dict[str, Any], state: dict[str, Any]) -> tuple[Any, Any]:
    """A resource's inputs and outputs as the state has them."""
    outputs = {info.alias or name for name, info in kind.outputs.model_fields.items()}
    known = {name: value for name, value in state.items() if name in outputs}
    return _as_recorded(kind.inputs, declared), _as_recorded(kind.outputs, known)


def _as_recorded(model: type[BaseModel], values: dict[str, Any]) -> Any:
    """A model of recorded values: an older version of this project may have recorded fewer of them, or others."""
    try:
        return model.model_validate(values)
    except ValidationError:
        there = {name: info for name, info in model.model_fields.items() if (info.alias or name) in values}
        return model.model_construct(
            **{name: _one(info.alias or name, info.annotation, values) for name, info in there.items()}
        )


def _one(name: str, annotation: Any, values: dict[str, Any]) -> Any:
    try:
        return TypeAdapter(annotation).validate_python(values[name])
    except ValidationError as error:  # its own words show the value, which may be a secret
        reason = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise ValueError(f"the state's property {name} cannot be read: {reason}") from None


def _state(inputs: Properties, outputs: BaseModel) -> Any:
    return PropertyValue.marshal_map({**inputs, **from_model(outputs)})


async def _abort_incomplete(context: Any, request: Any, error: IncompleteError) -> NoReturn:
    """Fail with what was made all the same, as `ErrorResourceInitFailed` says it."""
    given = next(getattr(request, name) for name in ("inputs", "news", "properties") if hasattr(request, name))
    inputs = PropertyValue.unmarshal_map(given)
    kind = _type(request.urn)
    made = getattr(request, "id", "") or kind.id(kind.inputs.model_validate(plain(inputs)))
    reason = redacted(str(error))
    detail = any_pb2.Any()
    detail.Pack(
        provider_pb2.ErrorResourceInitFailed(
            id=made, properties=_state(inputs, error.outputs), reasons=[reason], inputs=given
        )
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=reason, details=[detail])
    await context.abort(grpc.StatusCode.UNKNOWN, reason, (("grpc-status-details-bin", status.SerializeToString()),))
    raise AssertionError("abort raises")


def main(engine: str, components: Callable[[], Any] | None = None) -> None:
    """Serve until the engine ends this process.

    Args:
        engine: The address that the engine listens at.
        components: Imports the package's components (`components.construct`): nothing of the provider knows them.
    """

    async def serve() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_AT_ONCE))
        server = grpc.aio.server(options=_GRPC_CHANNEL_OPTIONS)
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(TritonProvider(engine, components), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        print(port, flush=True)
        # The program takes a while before it asks: what every stack's resources need is there by then.
        warming = asyncio.create_task(asyncio.to_thread(lambda: [resource_type(name) for name in _EVERY_STACK]))
        await server.wait_for_termination()
        await warming

    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        sys.exit(130)
