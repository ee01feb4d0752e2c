"""Has plugins make components (`remote` in a program): a component's resources come back as the plugin's registrations.

program                 monitor                         plugin
  | RegisterResource      |                               |
  |    (remote) --------->| Construct ------------------->| runs the component
  |                       |<----------- RegisterResource  |   the component itself, then its children:
  |                       |<----------- RegisterResource  |   so they come into the state
  |                       |<---- RegisterResourceOutputs  |
  |<-- urn, outputs ------|<--------------- urn, outputs  |
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from engine.providers.failures import ProviderError
from engine.providers.proto import alias_pb2, provider_pb2, resource_pb2
from engine.providers.provider import Provider
from engine.run.goals import Goal, Registers, Step
from engine.run.work import Work
from engine.state.checkpoint import Resource, make_urn
from engine.state.values import from_struct, to_struct

Request = resource_pb2.RegisterResourceRequest
Response = resource_pb2.RegisterResourceResponse


class Constructions:
    """The components of one operation that plugins make."""

    def __init__(self, work: Work, registrations: Registers, info: resource_pb2.DeploymentInfo) -> None:
        self._work = work
        self._registrations = registrations
        self._info = info

    def construct(
        self, request: Request, provider: str, monitor: str, waiting: Callable[[], AbstractContextManager[None]]
    ) -> Response:
        """Have a plugin make a component.

        Args:
            request: The program's registration.
            provider: The reference of the provider whose plugin makes the component.
            monitor: The address at which the plugin registers what the component is made of.
            waiting: Wraps the time in which the plugin is at work.

        Returns:
            The component's URN, and its outputs with what each depends on.

        Raises:
            EngineError: The component failed, and the person has been shown, or the operation was stopped.
        """
        work = self._work
        work.refuse_stopped()
        operations = work.registry.get(provider, work.provider)
        made = None
        if isinstance(operations, Provider):
            try:
                with waiting():
                    made = operations.construct(self._question(request, monitor))
            except ProviderError as error:
                work.refuse_stopped()  # the operation's first failure has ended this one, too
                work.fail(self._step(request), error)
                raise
        if made is None:  # nobody can tell yet what it is made of
            goal = Goal(request.type, request.name, custom=False, inputs={}, parent=request.parent)
            return Response(urn=self._registrations.register(goal).urn)
        return Response(
            urn=made.urn,
            object=to_struct(from_struct(made.state), unknowns=self._info.dryRun),
            propertyDependencies={
                key: Response.PropertyDependencies(urns=sorted(set(found.urns)))
                for key, found in made.stateDependencies.items()
            },
        )

    def _question(self, request: Request, monitor: str) -> provider_pb2.ConstructRequest:
        info, timeouts = self._info, request.customTimeouts
        question = provider_pb2.ConstructRequest(
            project=info.project,
            stack=info.stack,
            organization=info.organization,
            config=info.config,
            configSecretKeys=info.configSecretKeys,
            dryRun=info.dryRun,
            parallel=info.parallel,
            monitorEndpoint=monitor,
            type=request.type,
            name=request.name,
            parent=request.parent,
            inputs=request.object,
            inputDependencies={
                key: provider_pb2.ConstructRequest.PropertyDependencies(urns=found.urns)
                for key, found in request.propertyDependencies.items()
            },
            providers=request.providers,
            dependencies=request.dependencies,
            aliases=[*(alias_pb2.Alias(urn=urn) for urn in request.aliasURNs), *request.aliases],
            additionalSecretOutputs=request.additionalSecretOutputs,
            deletedWith=request.deletedWith,
            ignoreChanges=request.ignoreChanges,
            replaceOnChanges=request.replaceOnChanges,
            accepts_output_values=True,
        )
        if request.HasField("customTimeouts"):
            question.customTimeouts.create, question.customTimeouts.update = timeouts.create, timeouts.update
            question.customTimeouts.delete, question.customTimeouts.read = timeouts.delete, timeouts.read
        if request.HasField("protect"):
            question.protect = request.protect
        if request.HasField("retainOnDelete"):
            question.retainOnDelete = request.retainOnDelete
        if request.deleteBeforeReplaceDefined:
            question.deleteBeforeReplace = request.deleteBeforeReplace
        return question

    def _step(self, request: Request) -> Step:
        work = self._work
        urn = make_urn(self._info.stack, self._info.project, request.parent, request.type, request.name)
        old = work.olds.get(urn)
        return Step("update" if old else "create", old, work.resource(urn) or Resource(urn, request.type))
