"""Reading a stack's settings: from Pulumi's configuration, or from the stack's file where no Pulumi runs."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from settings import stack_file
from settings.errors import Mistake, SettingsError
from settings.form_mistakes import mistakes_of_form, without_mistakes
from settings.requirements_file import with_requirements
from settings.rules.every_rule import broken_rules
from settings.rules.protection import encryption_rules
from settings.schema import Settings

__all__ = ["load", "read_stack_file"]


def load(
    values: Mapping[str, Any], *, stack: str, project: Path, secret: Collection[str] = (), form_alone: bool = False
) -> Settings:
    """Check a stack's settings and give them typed.

    `values` maps the settings' names, without the project's namespace, to plain values; `secret` has the paths of those
    that the stack's file encrypts, or of the group that they are in. `project` is the folder at which relative paths
    start. Raises `SettingsError` with every mistake found: of form (types, ranges, unknown keys), what is encrypted in
    vain and, unless `form_alone`, of substance (`settings.rules`).
    """
    mistakes: list[Mistake] = []
    settings: Settings | None
    try:
        settings = Settings.model_validate(dict(values), context=project)
    except ValidationError as error:
        mistakes = mistakes_of_form(error, secret)
        settings = without_mistakes(values, error, project)
    encrypted = list(encryption_rules(secret, settings.deployment.target if settings else None))
    mistakes = encrypted + [m for m in mistakes if not any(_same_setting(m.path, e.path) for e in encrypted)]
    if settings is not None and not form_alone:
        # A rule that misses what was left out for its form would blame the writer twice.
        known = [mistake.path for mistake in mistakes]
        if "deployment.target" in known:  # what these should be depends on it
            known += ["deployment", "nodePool"]
        broken = broken_rules(settings, secret)
        mistakes += [mistake for mistake in broken if not any(_same_setting(mistake.path, path) for path in known)]
    if mistakes or settings is None:
        raise SettingsError(stack, mistakes)
    return settings if form_alone else with_requirements(settings)


def read_stack_file(project: Path, stack: str, *, form_alone: bool = False) -> Settings:
    """Read `stacks/Pulumi.<stack>.yaml` without Pulumi; encrypted settings are left out.

    `form_alone` is for those who look at what runs, whatever became of its models' folders since. Raises
    `SettingsError` as `load` does, and `FileNotFoundError` with the stacks that there are.
    """
    file = stack_file.read(project, stack)
    return load(file.values, stack=stack, project=project, secret=file.encrypted, form_alone=form_alone)


def _same_setting(one: str, other: str) -> bool:
    """Whether two paths name one setting, or a setting and its group."""
    return any(
        longer == shorter or longer.startswith((f"{shorter}.", f"{shorter}["))
        for longer, shorter in ((one, other), (other, one))
    )
