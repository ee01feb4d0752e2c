"""Components with plain inputs: checked and declared as soon as all of their inputs are known.

inputs ──► all known in the program ──► checked, then declared: at preview and at `up`
       └─► outputs among them ────────► checked and declared when the last one is known: at preview where the
                                        preview knows them, otherwise at `up`
"""

from abc import abstractmethod
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import pulumi
from pydantic import BaseModel
from pydantic.alias_generators import to_camel, to_snake

from common.errors import UserError
from common.redaction import redacted

__all__ = ["PlainComponent"]

C = TypeVar("C")


@dataclass(frozen=True)
class _Made:
    """Outputs by name. Pulumi would wait for every output of a mapping, and know none before it knows all."""

    outputs: Mapping[str, pulumi.Input[Any]]


class PlainComponent(pulumi.ComponentResource, Generic[C]):
    """A component whose arguments are plain values, or outputs of other resources.

    Its outputs are attributes by their names in Python, and the mapping `outputs` by their names on the wire.

    Attributes:
        TYPE: The type's token.
        Inputs: The form of the arguments.
        NAMED_AFTER_RESOURCE: The arguments that are by default the resource's name.
        REFERENCES: The arguments that are components, as Pulumi's package schema describes them, by their names on the
            wire.
        REQUIRED: The arguments that must be given.
        Outputs: The outputs; they are attributes of the component too.
        declared: What it was asked for, once checked. None until outputs among the inputs are known.
    """

    TYPE: ClassVar[str]
    Inputs: ClassVar[type[BaseModel]]
    Outputs: ClassVar[type[BaseModel]]
    NAMED_AFTER_RESOURCE: ClassVar[Sequence[str]] = ("name",)
    REFERENCES: ClassVar[Mapping[str, Any]] = {}
    REQUIRED: ClassVar[Sequence[str]] = ()
    declared: C | None = None
    outputs: Mapping[str, pulumi.Output[Any]]

    def __init__(self, name: str, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions | None = None) -> None:
        given = {key: value for key, value in inputs.items() if value is not None}
        later = sorted(key for key, value in given.items() if _has_outputs(value))
        made: Mapping[str, pulumi.Input[Any]]
        if later:
            super().__init__(self.TYPE, name, None, pulumi.ResourceOptions.merge(opts, _after(given, later)))
            made = self._made_later(name, given, later)
        else:
            checked = self.checked(name, given)
            super().__init__(self.TYPE, name, None, opts)
            self.declared = checked
            made = self.declare(name, checked)
        self._made = made
        found = {output: pulumi.Output.from_input(made.get(output)) for output in self._names}
        self.outputs = {output: value for output, value in found.items() if output in made}
        for output, value in found.items():
            setattr(self, to_snake(output), value)
        self.register_outputs(found)

    def plain(self, output: str) -> pulumi.Input[Any]:
        """Give an output by its name on the wire: as a plain value where the program knows it already."""
        return self._made.get(output)

    @abstractmethod
    def checked(self, name: str, given: dict[str, Any]) -> C:
        """Check what is given, by the names of the arguments.

        Raises:
            UserError: It has mistakes.
        """

    @abstractmethod
    def declare(self, name: str, checked: C) -> Mapping[str, pulumi.Input[Any]]:
        """Declare the children, and give the outputs by their names on the wire."""

    def _made_later(self, name: str, given: Mapping[str, Any], later: Sequence[str]) -> Mapping[str, pulumi.Input[Any]]:
        async def declare(values: dict[str, Any]) -> _Made:
            secret = [key for key in later if await pulumi.Output.from_input(given[key]).is_secret()]
            if secret:
                raise pulumi.RunError(
                    f"{self.TYPE.rpartition(':')[2]} '{name}': {', '.join(secret)} is a secret output, and would stand "
                    "in plain text in the state and where the service runs; expected a plain one "
                    "(pulumi.Output.unsecret, where it is no secret)"
                )
            try:
                self.declared = self.checked(name, values)
                return _Made(self.declare(name, self.declared))
            except UserError as mistake:
                raise pulumi.RunError(redacted(str(mistake))) from None

        if pulumi.runtime.is_dry_run():
            pulumi.Output.all(_told(self, given, later))
        known: pulumi.Output[dict[str, Any]] = pulumi.Output.all(**given)
        made: pulumi.Output[_Made] = known.apply(declare)

        def output(named: str) -> pulumi.Output[Any]:
            return made.apply(lambda found: found.outputs.get(named))

        return {named: output(named) for named in self._names}

    @property
    def _names(self) -> list[str]:
        return [to_camel(name) for name in self.Outputs.model_fields]


async def _told(component: pulumi.Resource, given: Mapping[str, Any], later: Sequence[str]) -> bool:
    """Tell at preview which inputs it waits for: nothing below the component shows."""
    unknown = [key for key in later if not await pulumi.Output.from_input(given[key]).is_known()]
    if unknown:
        pulumi.log.info(f"checked and shown at `up` alone, when {', '.join(unknown)} is known", component)
    return bool(unknown)


def _after(given: Mapping[str, Any], later: Sequence[str]) -> pulumi.ResourceOptions:
    """Make all that is declared below the component depend on the resources whose outputs its inputs are."""

    async def origins() -> list[pulumi.Resource]:
        found = [await pulumi.Output.from_input(given[key]).resources() for key in later]
        return [resource for some in found for resource in some]

    known: pulumi.Output[list[pulumi.Resource]] = pulumi.Output.from_input(origins())

    def depending(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
        opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(depends_on=known))
        return pulumi.ResourceTransformationResult(args.props, opts)

    return pulumi.ResourceOptions(transformations=[depending])


def _has_outputs(value: Any) -> bool:
    return any(isinstance(leaf, pulumi.Output | Awaitable | pulumi.output.Unknown) for leaf in _leaves(value))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
