"""A dynamic resource whose objects are files in the folder `objects`, so that a test sees what there is."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

OBJECTS = Path("objects")


class ThingProvider(ResourceProvider):
    """`kind` cannot be changed in place. `fail` names the operation to refuse, `slow` the seconds that each takes."""

    serialize_as_secret_always = False

    def _work(self, operation: str, props: dict[str, Any]) -> None:
        with Path("calls").open("a") as calls:
            calls.write(f"{operation} {props['name']}\n")
        time.sleep(props.get("slow") or 0)
        if props.get("fail") == operation:
            raise RuntimeError(f"no {operation} today")
        if props.get("fail") == f"{operation} and die":
            os._exit(1)

    def check(self, old: dict[str, Any], new: dict[str, Any]) -> Any:
        from pulumi.dynamic import CheckFailure, CheckResult

        if new.get("fail") == "check":
            return CheckResult(new, [CheckFailure("fail", "not like this")])
        return CheckResult(new, [])

    def diff(self, id: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResult:
        keys = [key for key in ("kind", "value", "token", "source") if old.get(key) != new.get(key)]
        replaces = [key for key in keys if key in ("kind", "source")]
        return DiffResult(bool(keys), replaces, delete_before_replace=bool(new.get("delete_first")))

    def create(self, props: dict[str, Any]) -> CreateResult:
        self._work("create", props)
        OBJECTS.mkdir(exist_ok=True)
        id_ = f"{props['name']}-{props.get('kind')}"
        outputs = self._outputs(props)
        (OBJECTS / id_).write_text(json.dumps(outputs))
        return CreateResult(id_, outputs)

    def update(self, id: str, old: dict[str, Any], new: dict[str, Any]) -> UpdateResult:
        self._work("update", new)
        outputs = self._outputs(new)
        (OBJECTS / id).write_text(json.dumps(outputs))
        return UpdateResult(outputs)

    def read(self, id: str, props: dict[str, Any]) -> ReadResult:
        path = OBJECTS / id
        if props.get("slow_read"):
            with Path("calls").open("a") as calls:
                calls.write(f"read {props['name']}\n")
            time.sleep(props["slow_read"])
        if props.get("fail") == "read":
            raise RuntimeError("no read today")
        if not path.exists():
            return ReadResult("", {})
        return ReadResult(id, {**props, **json.loads(path.read_text())})

    def delete(self, id: str, props: dict[str, Any]) -> None:
        self._work("delete", props)
        (OBJECTS / id).unlink(missing_ok=True)

    @staticmethod
    def _outputs(props: dict[str, Any]) -> dict[str, Any]:
        return {**props, "echo": props.get("value"), "size": len(str(props.get("value"))), "ratio": 0.5, "none": None}


class Thing(Resource, module="test", name="Thing"):
    echo: pulumi.Output[Any]
    size: pulumi.Output[int]

    def __init__(self, name: str, props: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__(ThingProvider(), name, {"echo": None, "size": None, "name": name, **props}, opts)


class Group(pulumi.ComponentResource):
    """A component with a thing for each name in `members`."""

    def __init__(self, name: str, members: dict[str, dict[str, Any]], opts: pulumi.ResourceOptions) -> None:
        super().__init__("test:index:Group", name, None, opts)
        self.things = {
            member: Thing(f"{name}-{member}", props, pulumi.ResourceOptions(parent=self))
            for member, props in members.items()
        }
        self.register_outputs({member: thing.echo for member, thing in self.things.items()})
