"""The versions of a service: a table of them, and the one to go back to."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bundle.registry import RegistryError
from bundle.service_versions import ServiceVersion, ServiceVersions
from common.errors import UserError
from settings.schema import Settings
from settings.service_version import StackId, VersionContent, read_content, versions_of
from settings.stack_reader import file_of, project_name
from settings.version_differences import called, differences

__all__ = ["History", "NoVersionError", "SharedTrafficError", "choose", "show"]

_DIGITS = 8


class NoVersionError(UserError):
    """There is no version of the service to go back to."""


class SharedTrafficError(UserError):
    """A version that is deployed would get a share of the traffic, and the one to flee would keep the rest."""


@dataclass(frozen=True)
class History:
    """The versions of a stack's service.

    Attributes:
        stack: The stack's name.
        versions: The versions of its service.
        serving: The number of the one that serves; None where nothing is deployed.
        share: The percent of the traffic that a new version gets by the stack's settings.
    """

    stack: str
    versions: ServiceVersions
    serving: int | None
    share: int = 100

    @classmethod
    def of(cls, settings: Settings, project: Path, stack: str, outputs: str) -> "History":
        """Find a stack's versions; `outputs` is the JSON of `pulumi stack output --json`."""
        values: dict[str, Any] = json.loads(outputs) if outputs.strip() else {}
        number = values.get("version")
        versions = versions_of(settings, StackId(project_name(project), stack))
        share = settings.deployment.rollout.canary_traffic_percent
        return cls(stack, versions, None if number is None else int(number), 100 if share is None else share)

    @property
    def named(self) -> str:
        """Name the stack for `make`."""
        return "" if self.stack == "local" else f" STACK={self.stack}"


def show(console: Console, history: History) -> int:
    """Print the versions, the newest first; gives an exit code."""
    every = history.versions.every()
    if not every:
        console.print(f"stack '{history.stack}' has no version yet; deploy it: make up{history.named}")
        return 1
    columns = ("version", "when (UTC)", "who", "from", "models", "script", "environment", "settings", "passed")
    table = Table(*columns, "", box=box.SIMPLE_HEAD)
    for version in reversed(every):
        serves = "serves" if version.number == history.serving else ""
        table.add_row(*map(escape, _row(history.versions, version)), serves)
    console.print(table)
    console.print(
        f"make rollback{history.named} VERSION=<number> deploys one of them whole", markup=False, soft_wrap=True
    )
    return 0


def _row(versions: ServiceVersions, version: ServiceVersion) -> Iterator[str]:
    facts = version.facts
    yield str(version.number)
    yield version.created[:16].replace("T", " ")
    yield facts.by
    yield " ".join(part for part in (facts.branch, facts.commit) if part) or "-"
    try:
        yield from _made_of(read_content(versions, version))
    except RegistryError:
        yield from ("cannot be read", "", "", "")
    yield facts.passed


def _made_of(content: VersionContent) -> Iterator[str]:
    yield ", ".join(map(str, content.models))
    yield f"{content.script.file} {content.script.digest[:_DIGITS]}" if content.script else "-"
    yield f"{content.environment.name} {content.environment_digest[:_DIGITS]}"
    yield content.settings_digest[:_DIGITS]


def choose(history: History, asked: str) -> int:
    """Print the number of the version to go back to, and beside it what goes back and how to go forward again.

    Args:
        history: The versions.
        asked: The number that somebody named; "" for the version before the one that serves.

    Raises:
        SharedTrafficError: It would get a share of the traffic alone.
        NoVersionError: There is no such version; the text lists those that are kept.
    """
    if history.share < 100:
        raise SharedTrafficError(_shared(history))
    every = {version.number: version for version in history.versions.every()}
    version = _named(history, every, asked) if asked else _former(history, every)
    serving = every.get(history.serving or 0)
    changes = ""
    if serving is not None and serving != version:
        changes = f" in place of version {serving.number}: {', '.join(differences(history.versions, serving, version))}"
    sys.stderr.write(
        f"{called(version)}{changes}\n"
        f"{file_of(history.stack)} gets deployment.version: {version.number}. To go forward again, remove that line "
        f"and run: make up{history.named}\n"
    )
    sys.stdout.write(f"{version.number}\n")
    return 0


def _shared(history: History) -> str:
    share, file = history.share, file_of(history.stack)
    gets = f"{share} % of the traffic, and the version that serves keeps the rest" if share else "no traffic"
    serves = f"version {history.serving}" if history.serving is not None else "what serves"
    back = f"to give {serves} all of the traffic again, set it to 0 and run: make up{history.named}; " if share else ""
    return (
        f"{file}: deployment.rollout.canaryTrafficPercent is {share}, so a version that is deployed gets {gets}; {back}"
        f"to deploy another version with all of the traffic, remove the setting and run: make rollback{history.named} "
        "VERSION=<number>"
    )


def _named(history: History, every: dict[int, ServiceVersion], asked: str) -> ServiceVersion:
    if asked.isascii() and asked.isdigit() and int(asked) in every:
        return every[int(asked)]
    raise NoVersionError(f"VERSION={asked}: service '{history.versions.service}' has no such version; {_kept(every)}")


def _former(history: History, every: dict[int, ServiceVersion]) -> ServiceVersion:
    if history.serving is None:
        raise NoVersionError(
            f"stack '{history.stack}' serves nothing; name the version: VERSION=<number>; {_kept(every)}"
        )
    former = [number for number in every if number < history.serving]
    if not former:
        raise NoVersionError(
            f"version {history.serving} serves, and none before it is kept; name another one: VERSION=<number>; "
            f"{_kept(every)}"
        )
    return every[max(former)]


def _kept(every: dict[int, ServiceVersion]) -> str:
    return f"expected one of {', '.join(map(str, every))}" if every else "none is kept yet"
