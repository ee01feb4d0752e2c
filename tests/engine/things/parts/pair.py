"""A component of two parts, the second of which is made of the first."""

from typing import Any, TypedDict

import pulumi


class Part(pulumi.CustomResource):
    size: pulumi.Output[Any]
    token: pulumi.Output[Any]

    def __init__(self, name: str, props: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__("parts:index:Part", name, {"size": None, "token": None, **props}, opts)


class PairArgs(TypedDict):
    size: pulumi.Input[float]
    token: pulumi.Input[str] | None
    """A secret of the pair."""
    other: pulumi.Input[Any] | None
    """A resource that the pair's first part names."""
    fail: str | None
    slow: pulumi.Input[float] | None


class Pair(pulumi.ComponentResource):
    size: pulumi.Output[float]
    token: pulumi.Output[str] | None
    label: pulumi.Output[str]
    first: pulumi.Output[Any]

    def __init__(self, name: str, args: PairArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("parts:index:Pair", name, {}, opts)
        if args.get("fail") == "construct":
            raise ValueError("a pair cannot be made like this")
        if args.get("fail") == "bug":
            {}["nothing"]
        child = pulumi.ResourceOptions(parent=self)
        first = Part(
            f"{name}-first",
            {"size": args["size"], "token": args.get("token"), "slow": args.get("slow"), "other": args.get("other")},
            child,
        )
        second = Part(f"{name}-second", {"size": first.size, "fail": args.get("fail")}, child)
        self.size = second.size
        self.token = first.token
        if args.get("other") is not None:
            self.first = first  # a reference, of which only a program that knows parts makes anything
        self.label = pulumi.Output.concat("of ", second.id)
        names = ("size", "token", "label", "first")
        self.register_outputs({name: getattr(self, name, None) for name in names})
