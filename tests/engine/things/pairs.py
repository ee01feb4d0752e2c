"""What a generated SDK has of the plugin `parts`: its component, and the resource that references become."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pulumi


class Part(pulumi.CustomResource):
    size: pulumi.Output[Any]

    def __init__(self, name: str, props: dict[str, Any] | None = None, opts: pulumi.ResourceOptions | None = None):
        super().__init__("parts:index:Part", name, {"size": None, **(props or {})}, opts)


class Pair(pulumi.ComponentResource):
    size: pulumi.Output[Any]
    token: pulumi.Output[Any]
    label: pulumi.Output[str]
    first: pulumi.Output[Part]

    def __init__(self, name: str, props: dict[str, Any], opts: pulumi.ResourceOptions | None = None):
        outputs = dict.fromkeys(("token", "label", "first"))
        super().__init__("parts:index:Pair", name, {**outputs, **props}, opts, remote=True)


class _Parts(pulumi.runtime.ResourceModule):
    def version(self) -> None:
        return None

    def construct(self, name: str, typ: str, urn: str) -> Part:
        return Part(name, None, pulumi.ResourceOptions(urn=urn))


def _die_meanwhile() -> None:
    calls = Path("calls")
    while not calls.exists() or "create pair-first" not in calls.read_text():
        time.sleep(0.02)
    os._exit(3)


def declare(entry: dict[str, Any], config: pulumi.Config) -> None:
    """Declares a pair and what depends on it. Of `entry`, `size` and so on are its inputs."""
    pulumi.runtime.register_resource_module("parts", "index", _Parts())
    props: dict[str, Any] = {key: entry[key] for key in ("size", "fail", "slow") if key in entry}
    provider = None
    if "own" in entry:
        own = Part("own", {"size": entry["own"]})
        props |= {"size": own.size, "other": own}
        if entry.get("region"):
            provider = pulumi.ProviderResource("parts", "explicit", {"region": own.id})
    if entry.get("secret"):
        props["token"] = config.require_secret("token")
    opts = pulumi.ResourceOptions(
        provider=provider,
        version=entry.get("version"),
        protect=entry.get("protect"),
        aliases=[pulumi.Alias(name=name) for name in entry.get("aliases", [])],
    )
    if entry.get("die"):
        threading.Thread(target=_die_meanwhile, daemon=True).start()
    pair = Pair(entry.get("name", "pair"), props, opts)
    Part("after", {"size": pair.label})
    pulumi.export("label", pair.label)
    pulumi.export("pair token", pair.token)
    if "own" in entry:
        pulumi.export("first size", pair.first.apply(lambda first: first.size))
    if tok := entry.get("invoke"):
        pulumi.export("invoked", pulumi.runtime.invoke_async(tok, {}))
