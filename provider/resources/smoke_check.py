"""The check of a deployed service from outside."""

from typing import Any

import pulumi

from common.part import Part
from provider.declaration import Declaration
from provider.resource_type import ResourceType, Say
from targets.machine_target import BEHIND
from targets.smoke_check import Question, check, failure

__all__ = ["SmokeCheck", "SmokeCheckType"]


class Inputs(Question):
    """What is asked, and what calls for asking anew: the digest of the settings, and the generation behind the door."""

    settings: str
    generation: Any


class Outputs(Part):
    """How many things were asked."""

    checks: int


class SmokeCheckType(ResourceType[Inputs, Outputs]):
    """A check that runs when the resource is made and whenever one of its inputs changed."""

    inputs, outputs = Inputs, Outputs

    def id(self, inputs: Inputs) -> str:
        return "smoke-check"

    def create(self, inputs: Inputs, say: Say) -> Outputs:
        if isinstance(inputs.generation, dict) and inputs.generation.get(BEHIND):
            say("the check waits until the new version has all of the traffic: the old one's answers may be others")
            return Outputs(checks=0)
        count, found = check(inputs)
        if found:
            raise failure(found)
        say(f"{count} checks through {inputs.url} passed")
        return Outputs(checks=count)


class SmokeCheck(Declaration):
    """The check of a deployed service; its inputs name everything whose change calls for another one."""

    Inputs, Outputs = Inputs, Outputs
    checks: pulumi.Output[int]
