"""A key to the front door."""

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, Resource, UpdateResult

from components.providers.base import Provider
from gateway.keys import make_key

__all__ = ["AccessKey"]


class AccessKeyProvider(Provider):
    """Makes a random key once; another `edition` makes another key, a `given` one is taken as it is."""

    outputs = frozenset({"key"})

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_="key", outs={**props, "key": props.get("given") or make_key()})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(outs={**_news, "key": _news.get("given") or make_key()})


class AccessKey(Resource, module="triton", name="AccessKey"):
    """A key, secret in state. `edition` counts its rotations; `given` is a key of the user's own."""

    key: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        edition: pulumi.Input[int],
        given: pulumi.Input[str] | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            AccessKeyProvider(),
            name,
            {"key": None, "edition": edition, **({} if given is None else {"given": given})},
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=["key", "given"])),
        )
