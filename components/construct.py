"""Components for programs in any language: the engine has them constructed here, over gRPC."""

from inspect import signature
from typing import Any

import pulumi
from pulumi.provider.server import ProviderServicer
from pulumi.runtime.proto import provider_pb2
from pulumi.runtime.stack import wait_for_rpcs
from pydantic.alias_generators import to_camel, to_snake

from common.errors import UserError
from components import references
from components.model_bundle import ModelBundle
from components.plain_inputs import PlainComponent
from components.program_places import PLACES
from components.triton_environment import TritonEnvironment
from components.triton_service import TritonService

__all__ = ["COMPONENTS", "construct"]


class PropertyError(UserError):
    """A component is given a property that it does not have."""


COMPONENTS: dict[str, type[PlainComponent[Any]]] = {
    kind.TYPE: kind for kind in (ModelBundle, TritonEnvironment, TritonService)
}
"""Every component of the package by its type's token."""

references.register()


async def construct(request: Any, engine: str) -> Any:
    """Construct a component: its children are registered with the engine that asks.

    Args:
        request: `ConstructRequest` of Pulumi's `provider.proto`.
        engine: The engine's address.

    Returns:
        `ConstructResponse`.

    Raises:
        UserError: The inputs have mistakes.
        ValueError: There is no such component.
    """
    if (kind := COMPONENTS.get(request.type)) is None:
        raise ValueError(f"the package triton has no component '{request.type}'; there is {', '.join(COMPONENTS)}")
    pulumi.runtime.settings.reset_options(
        organization=request.organization or "organization",
        project=request.project,
        stack=request.stack,
        parallel=request.parallel or None,
        engine_address=engine,
        monitor_address=request.monitorEndpoint,
        preview=request.dryRun,
    )
    PLACES.begin(f"{request.monitorEndpoint} {request.dryRun}")
    await pulumi.runtime.settings._load_monitor_feature_support()  # type: ignore[no-untyped-call]
    pulumi.runtime.config.set_all_config(dict(request.config), list(request.configSecretKeys))
    given = await ProviderServicer._construct_inputs(request.inputs, request.inputDependencies)
    arguments: dict[str, Any] = {to_snake(name): _whole(value) for name, value in given.items()}
    for name in {"models", "environment"} & set(arguments):
        # References: which ones they are is known, whatever is not known of them yet.
        arguments[name] = await pulumi.Output.from_input(arguments[name]).future()
    if unknown := sorted(set(arguments) - set(signature(kind.__init__).parameters)):
        raise PropertyError(f"{request.type} '{request.name}' has no property {', '.join(map(to_camel, unknown))}")
    made = kind(request.name, **arguments, opts=ProviderServicer._construct_options(request))
    response = await _response(made)
    await wait_for_rpcs(await_all_outstanding_tasks=False)
    return response


def _whole(value: Any) -> Any:
    """Make integers of whole numbers: on the wire, every number is a double."""
    if isinstance(value, pulumi.Output):
        return value.apply(_whole)
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


async def _response(made: PlainComponent[Any]) -> provider_pb2.ConstructResponse:
    dependencies: dict[str, list[pulumi.Resource]] = {}
    state = await pulumi.runtime.rpc.serialize_properties(dict(made.outputs), dependencies)
    urns = {
        name: [urn for resource in resources if (urn := await resource.urn.future()) is not None]
        for name, resources in dependencies.items()
    }
    of = provider_pb2.ConstructResponse.PropertyDependencies
    return provider_pb2.ConstructResponse(
        urn=str(await made.urn.future()),
        state=state,
        stateDependencies={name: of(urns=found) for name, found in urns.items()},
    )
