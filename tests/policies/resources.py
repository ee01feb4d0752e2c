"""Resources as a preview shows them: of services on one machine, and rendered ones of a node pool."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from policies.checking import Finding, check
from policies.configuration import configured
from policies.stack import Resource, Stack, marked
from targets.node_pool.objects.every_object import objects
from targets.node_pool.rendering import Manifest, Options

DIGEST = "sha256:" + "0" * 64


def resource(kind: str, name: str, inputs: Mapping[str, Any], *, parent: str = "triton:index:Gateway") -> Resource:
    """A resource of the stack `test` with these inputs."""
    return Resource(f"urn:pulumi:test::triton-serving::{parent}${kind}::{name}", kind, marked(dict(inputs)))


def door(kind: str = "ProcessFrontDoor", **inputs: Any) -> Resource:
    """The front door of a service on one machine, for this machine alone, with keys."""
    opening = {"authEnabled": True, "public": False}
    opening |= {name: inputs.pop(name) for name in ("authEnabled", "public", "maxRequestsPerSecond") if name in inputs}
    return resource(f"triton:index:{kind}", "gateway-front-door", {"opening": opening, **inputs})


def service(kind: str = "ProcessService", **inputs: Any) -> Resource:
    """A service on one machine."""
    own = {"overwrite": False, "variables": {"WORKER_COUNT": "1"}, **inputs}
    return resource(f"triton:index:{kind}", "deployment-service", own, parent="triton:index:ProcessDeployment")


def provider(**inputs: Any) -> Resource:
    """The provider by which a stack reaches its cluster."""
    kind = "pulumi:providers:kubernetes"
    return resource(kind, "deployment-cluster", inputs, parent="triton:index:NodePoolDeployment")


def rendered(options: Options, changed: Callable[[Manifest], object] = lambda manifest: None) -> list[Resource]:
    """The objects of a node pool, each after `changed` has seen it."""
    found = []
    for manifest in copy.deepcopy(objects(options)):
        changed(manifest)
        version = manifest["apiVersion"] if "/" in manifest["apiVersion"] else f"core/{manifest['apiVersion']}"
        found.append(resource(f"kubernetes:{version}:{manifest['kind']}", manifest["metadata"]["name"], manifest))
    return found


def violations(rule: str, resources: Iterable[Resource], *, stack: str = "test", **options: Any) -> list[str]:
    """The messages of one rule over the resources of a stack; `tags` are the stack's, the rest are options."""
    tags = options.pop("tags", {})
    (one,) = [each for each in configured({rule: options}) if each.rule.name == rule]
    return [finding.message for finding in findings(Stack(stack, list(resources), tags), [one])]


def findings(stack: Stack, rules: Any) -> list[Finding]:
    """What the rules find."""
    return list(check(stack, rules))
