"""Read a stack's settings: from Pulumi's configuration, or from the stack's file where no Pulumi runs."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from settings import stack_reader
from settings.errors import Mistake, SettingsError
from settings.form_mistakes import mistakes_of_form
from settings.readable_part import readable_part
from settings.rules.every_rule import broken_rules
from settings.rules.protection import encryption_rules
from settings.schema import Settings
from settings.service_version import StackId, settings_of_version, versions_of

__all__ = ["load", "read_stack_file"]


def load(
    values: Mapping[str, Any],
    *,
    subject: str,
    project: Path,
    secret: Collection[str] = (),
    form_alone: bool = False,
    python_names: bool = False,
    stack: StackId | None = None,
) -> Settings:
    """Check a service's settings and give them typed, with absolute paths.

    Args:
        values: The settings by name, without the project's namespace, as plain values.
        subject: What has the settings, as messages name it: a stack's file, or a component.
        project: The folder at which relative paths start.
        secret: The paths of the settings that the stack's file encrypts, or of the groups around them.
        form_alone: Judge the form alone.
        python_names: Take settings by their names in Python too.
        stack: The stack whose file has the settings: the version of its service that `deployment.version` names takes
            their place. Without a stack, they stay as they are.

    Raises:
        SettingsError: The settings have mistakes: mistakes of form (types, ranges, unknown keys), settings that are
            encrypted in vain, a version that is not there and, unless `form_alone`, broken rules (`settings.rules`).
    """
    mistakes: list[Mistake] = []
    settings: Settings | None
    try:
        settings = Settings.model_validate(dict(values), context=project, by_alias=True, by_name=python_names)
    except ValidationError as error:
        mistakes = mistakes_of_form(error, secret)
        settings = readable_part(values, error, project, python_names=python_names)
    encrypted = list(encryption_rules(secret, settings))
    mistakes = encrypted + [m for m in mistakes if not any(_same_setting(m.path, e.path) for e in encrypted)]
    if settings is not None and stack is not None and not mistakes and settings.deployment.version is not None:
        decided = settings_of_version(values, settings, subject=subject, versions=versions_of(settings, stack))
        return load(decided, subject=subject, project=project, secret=secret, form_alone=form_alone)
    if settings is not None and not form_alone:
        # The writer reads once what is wrong with a setting, and with the group around it.
        known = [mistake.path for mistake in mistakes]
        broken = broken_rules(settings, secret)
        mistakes += [mistake for mistake in broken if not any(_same_setting(mistake.path, path) for path in known)]
    if mistakes or settings is None:
        raise SettingsError(subject, mistakes)
    return settings


def read_stack_file(project: Path, stack: str, *, form_alone: bool = False, with_version: bool = True) -> Settings:
    """Read `stacks/Pulumi.<stack>.yaml` without Pulumi and without the encrypted settings.

    Args:
        project: The folder of `Pulumi.yaml`, at which relative paths start.
        stack: The stack's name.
        form_alone: Judge the form alone: who looks at a running service may have removed the models' folders since.
        with_version: Put the version that `deployment.version` names in its place. Ports and names are the stack's.

    Raises:
        SettingsError: The settings have mistakes.
        UnknownStackError: The stack has no file; the text names the stacks that have one.
    """
    file = stack_reader.read(project, stack)
    subject = stack_reader.file_of(stack)
    return load(
        file.values,
        subject=subject,
        project=project,
        secret=file.encrypted,
        form_alone=form_alone,
        stack=StackId(stack_reader.project_name(project), stack) if with_version else None,
    )


def _same_setting(one: str, other: str) -> bool:
    """Tell whether two paths name one setting, or a setting and its group."""
    return any(
        longer == shorter or longer.startswith((f"{shorter}.", f"{shorter}["))
        for longer, shorter in ((one, other), (other, one))
    )
