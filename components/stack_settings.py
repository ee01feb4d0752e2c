"""The stack's settings, read from Pulumi's configuration."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env, get_config_secret_keys_env, is_config_secret

from settings.load import load
from settings.schema import Settings
from settings.service_version import StackId
from settings.stack_reader import file_of

__all__ = ["SERVICE", "service_owner", "stack_id", "stack_name", "stack_settings"]

SERVICE = "service"
"""The name of the component that a stack's file declares: its service has the stack's name as its owner."""


def stack_name() -> str:
    """The running stack's whole name, `organization/project/stack`, by which it owns a service."""
    return f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"


def service_owner(name: str) -> str:
    """Give the owner of a service on this machine: the running stack, and the component where it may have several.

    A service is found by its owner when it gets another name, so no two services of a program have the same owner.

    Args:
        name: The name of the component `TritonService`.
    """
    return stack_name() if name == SERVICE else f"{stack_name()} ({name.replace(' ', '-')})"


def stack_id() -> StackId:
    """Name the running stack as the versions of its services are kept."""
    return StackId(pulumi.get_project(), pulumi.get_stack())


def stack_settings(project: Path) -> Settings:
    """Read and check the running stack's settings; raises `SettingsError` with every mistake in them."""
    namespace = f"{pulumi.get_project()}:"
    # Pulumi's public API gives the values of names that one knows; unknown names have to be found to be refused.
    config = {**get_config_env(), **CONFIG.get()}
    names = [name for name in config if name.startswith(namespace)]
    encrypted = set(get_config_secret_keys_env())
    return load(
        {name.removeprefix(namespace): _value(config[name]) for name in names},
        subject=file_of(pulumi.get_stack()),
        project=project,
        stack=stack_id(),
        secret={name.removeprefix(namespace) for name in names if name in encrypted or is_config_secret(name)},
    )


def _value(text: Any) -> Any:
    """A setting as it stands in the stack's file: lists and groups reach the program as JSON."""
    if isinstance(text, str) and text[:1] in ("[", "{"):
        with contextlib.suppress(ValueError):  # text that only looks like JSON
            return json.loads(text)
    return text
