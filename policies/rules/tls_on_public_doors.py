"""Clients from outside come in over TLS."""

from collections.abc import Iterator

from pydantic import Field

from common.part import Part
from policies import objects, properties
from policies.rule import Level, Rule, Violation
from policies.stack import Resource, Stack, at

__all__ = ["RULE", "Options"]


class Options(Part):
    """Which doors besides the public ones."""

    private_balancers: bool = Field(default=False, description="load balancers with a private address need TLS too")


def _check(resource: Resource, stack: Stack, options: Options) -> Iterator[Violation]:
    expected, certificate = "TLS: keys would cross the network in clear text", "tls.certificateFile and tls.keyFile"
    if properties.is_front_door(resource):
        if properties.is_public(resource) and not properties.has_certificate(resource):
            yield Violation(
                wrong="listens on all addresses of its machine without TLS",
                expected=expected,
                fix=f"set {certificate}, or deployment.public: false, in {stack.file}",
            )
    elif not objects.is_ours(resource):
        return
    elif resource.type == objects.SERVICE and at(resource.props, "spec", "type") == "LoadBalancer":
        if objects.is_private(resource) and not options.private_balancers:
            return
        for port in objects.plain_ports(resource):
            yield Violation(
                wrong=f"opens its port '{port}' by a load balancer without TLS",
                expected=expected,
                fix=f"set {certificate} in {stack.file}",
            )
    elif resource.type == objects.INGRESS and not at(resource.props, "spec", "tls"):
        yield Violation(
            wrong="leads clients in without TLS",
            expected=expected,
            fix=f"set nodePool.exposure.tlsSecret in {stack.file}",
        )


RULE = Rule(
    name="tls-on-public-doors",
    description="Clients from outside come in over TLS.",
    level=Level.MANDATORY,
    check=_check,
    options=Options,
)
