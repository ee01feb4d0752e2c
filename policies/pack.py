"""The rules as a policy pack of Pulumi's CLI."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from policies.rule import Rule
from policies.rules.every_rule import RULES
from policies.stack import Mark, Resource, Stack

__all__ = ["main"]

NAME = "triton-serving"


def main() -> None:
    """Serve the rules until the CLI ends this process."""
    PolicyPack(name=NAME, policies=[_policy(rule) for rule in RULES])


def _policy(rule: Rule) -> Policy:
    common: dict[str, Any] = {
        "name": rule.name,
        "description": rule.description,
        "enforcement_level": EnforcementLevel(rule.level.value),
        "config_schema": PolicyConfigSchema(properties=_schema(rule)),
    }
    if rule.of_whole_stack:
        return StackValidationPolicy(validate=_whole_stack(rule), **common)
    return ResourceValidationPolicy(validate=_one_resource(rule), **common)


def _schema(rule: Rule) -> dict[str, dict[str, Any]]:
    """Give the options as JSON Schema, each with its default, which the CLI fills in."""
    properties: dict[str, dict[str, Any]] = rule.options.model_json_schema(by_alias=True).get("properties", {})
    return {
        name: {key: value for key, value in described.items() if key != "title"}
        for name, described in properties.items()
    }


def _one_resource(rule: Rule) -> Callable[[ResourceValidationArgs, ReportViolation], None]:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = Resource(args.urn, args.resource_type, _marked(args.props))
        stack = Stack(pulumi.get_stack(), (resource,), args.stack_tags)
        for violation in rule.check(resource, stack, rule.options.model_validate(dict(args.get_config()))):
            report(violation.told(resource), None)

    return validate


def _whole_stack(rule: Rule) -> Callable[[StackValidationArgs, ReportViolation], None]:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        resources = [Resource(each.urn, each.resource_type, _marked(each.props)) for each in args.resources]
        stack = Stack(pulumi.get_stack(), resources, args.stack_tags)
        options = rule.options.model_validate(dict(args.get_config()))
        for resource in resources:
            for violation in rule.check(resource, stack, options):
                report(violation.told(resource), resource.urn)

    return validate


def _marked(value: Any) -> Any:
    """Copy properties, with marks for what nobody knows yet: pulumi_policy raises where a rule reads it."""
    if isinstance(value, Mapping):
        return {name: _read(value, name) for name in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_read(value, index) for index in range(len(value))]
    return value


def _read(holder: Any, key: Any) -> Any:
    try:
        return _marked(holder[key])
    except UnknownValueError:
        return Mark.UNKNOWN
