"""A dynamic resource that does nothing but exist: what is measured is the engine."""

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult


class _CountedProvider(ResourceProvider):
    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(f"counted-{props['number']:.0f}", self._outputs(props))

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=any(_olds.get(name) != _news.get(name) for name in ("number", "before")))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._outputs(_news))

    def _outputs(self, props: dict[str, Any]) -> dict[str, Any]:
        return {**props, "text": f"number {props['number']:.0f}"}


class Counted(Resource, module="benchmark", name="Counted"):
    """A number and the text of the resource before it."""

    text: pulumi.Output[str]

    def __init__(self, name: str, *, number: int, before: pulumi.Input[str]) -> None:
        super().__init__(_CountedProvider(), name, {"number": number, "before": before, "text": None})
