"""TritonEnvironment: what serves, a curated environment or its clone with pip packages and variables."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
from pydantic import Field

from common.part import Part
from components.plain_inputs import PlainComponent
from settings.errors import SettingsError
from settings.form_mistakes import checked_form
from settings.rules.environment import environment_rules
from settings.schema import Environment

__all__ = ["TritonEnvironment"]


class Outputs(Part):
    """The outputs of an environment."""

    name: str = Field(description="the environment's name")
    setting: Any = Field(description="the group `environment` in a stack's file that means this environment")


class TritonEnvironment(PlainComponent[Environment]):
    """An environment (Azure's `Environment.get(...).clone(...)`).

    A service that names it builds it: as a venv on target `process`, as an image on the others.

    Args:
        resource_name: The resource's name, and the environment's where `name` gives no other.
        name: A curated environment's name, or the clone's.
        clone: The curated environment that it is cloned from.
        pip_packages: Requirements, as in `nltk>=3.9`; resolved and locked.
        requirements_file: A requirements.txt, relative to the program's folder: its lines join `pip_packages`.
        variables: Of the entry script server and Triton.
        lock_directory: A folder of locks that hold in place of new ones.

    Raises:
        SettingsError: An argument has a mistake of form, there is no such curated environment, or it cannot have such
            a package.

    Example:
        environment = TritonEnvironment(
            "My-Triton", clone="AzureML-Triton", pip_packages=["nltk"], variables={"WORKER_COUNT": "1"}
        )
    """

    TYPE = "triton:index:TritonEnvironment"
    Inputs, Outputs = Environment, Outputs

    name: pulumi.Output[str]
    setting: pulumi.Output[Any]

    def __init__(
        self,
        resource_name: str,
        *,
        name: pulumi.Input[str] | None = None,
        clone: pulumi.Input[str] | None = None,
        pip_packages: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
        requirements_file: pulumi.Input[str] | None = None,
        variables: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
        lock_directory: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "name": name,
            "clone": clone,
            "pip_packages": pip_packages,
            "requirements_file": requirements_file,
            "variables": variables,
            "lock_directory": lock_directory,
        }
        super().__init__(resource_name, inputs, opts)

    def checked(self, name: str, given: dict[str, Any]) -> Environment:
        subject = f"TritonEnvironment '{name}'"
        environment = checked_form(Environment, {"name": name, **given}, subject=subject, project=Path.cwd())
        if broken := list(environment_rules(environment)):
            raise SettingsError(subject, [replace(m, path=m.path.removeprefix("environment.")) for m in broken])
        return environment

    def declare(self, name: str, checked: Environment) -> Mapping[str, pulumi.Input[Any]]:
        setting = checked.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return {"name": checked.name, "setting": {**setting, "name": checked.name}}
