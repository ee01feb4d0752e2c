"""Write a new stack: nothing of it is in its place before all of it is checked, and the stack's file comes last."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bundle.problems import LayoutError
from common import pulumi_yaml
from operate.new.asked import Asked
from operate.new.draft import Draft, draft
from operate.new.errors import NewStackError
from operate.new.names import require_stack_name
from operate.new.sources import Found, find
from operate.new.stack_text import stack_text
from settings.errors import SettingsError
from settings.load import load
from settings.schema import Target
from settings.stack_reader import file_of

__all__ = ["new"]


def new(asked: Asked, console: Console) -> int:
    """Write a stack for a model, and say what was written; gives an exit code.

    Raises:
        NewStackError: Something is in the way, or no stack can be written for the model; nothing was written.
        UserError: The model, or its environment, has other mistakes; nothing was written.
    """

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    require_stack_name(asked.name)
    if not asked.model:
        raise NewStackError(f"MODEL is missing; expected a model's path; say: make new NAME={asked.name} MODEL=path")
    asked.require_target()
    found = _found(asked)
    places = [asked.places.stack]
    places += [] if found.in_place else [asked.places.bundle]
    places += [asked.places.scripts] if asked.script or found.pickle else []
    asked.places.require_free(*places)
    state = asked.project / ".var"
    state.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="new-", dir=state) as scratch:
        try:
            made = draft(asked, found, Path(scratch), say)
            _require_good_settings(asked, made)
            file = Path(scratch) / "stack.yaml"
            file.write_text(_stack_text(asked, made), encoding="utf-8")
            asked.places.require_free(*places)
            _place({**made.files, asked.places.stack: file})
        except OSError as error:
            raise NewStackError(f"NAME={asked.name}: cannot be written: {error}; nothing was written") from None
    _tell(asked, made, console, say)
    return 0


def _found(asked: Asked) -> Found:
    try:
        return find(asked.path, asked.name, asked.target)
    except LayoutError as error:
        raise NewStackError(f"MODEL={asked.model}: {'; '.join(error.problems)}") from None


def _stack_text(asked: Asked, made: Draft) -> str:
    namespace = pulumi_yaml.load((asked.project / "Pulumi.yaml").read_text())["name"]
    return stack_text(made.values, namespace=namespace, stack=asked.name, model=asked.model)


def _require_good_settings(asked: Asked, made: Draft) -> None:
    """Apply every rule of a preview, with the drafted files in the place of those to come.

    Raises:
        NewStackError: A rule is broken; the text has a line for each.
    """
    places = asked.places
    drafted: dict[str, Any] = dict(made.values)
    replaced: dict[str, str] = {}
    if places.bundle in made.files:
        (model,) = drafted["models"]
        written = str(places.bundle.relative_to(asked.project))
        path = model["path"].replace(written, str(made.files[places.bundle]), 1)
        drafted["models"] = [{**model, "path": path}]
        replaced[str(made.files[places.bundle])] = written
    if places.scripts in made.files:
        drafted["sourceDirectory"] = str(made.files[places.scripts])
        replaced[drafted["sourceDirectory"]] = made.values["sourceDirectory"]
    try:
        load(drafted, subject=file_of(asked.name), project=asked.project)
    except SettingsError as error:
        lines = "\n".join(f"  {mistake}" for mistake in error.mistakes)
        for here, there in replaced.items():
            lines = lines.replace(here, there)
        raise NewStackError(
            f"MODEL={asked.model}: a stack of target '{asked.target}' would have mistakes:\n{lines}"
        ) from None


def _place(files: dict[Path, Path]) -> None:
    """Move each file or folder to its place, in order; a failure takes back what was moved."""
    moved: list[Path] = []
    try:
        for place, source in files.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.exists():
                raise FileExistsError(f"{place} exists already")
            moved.append(place)
            shutil.move(source, place)
    except BaseException:
        for place in moved:
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
        raise


def _tell(asked: Asked, made: Draft, console: Console, say: Callable[[str], None]) -> None:
    """Print what was written, and the next two commands."""
    deployment = made.values["deployment"]
    door = f", port {deployment['port']}" if "port" in deployment else ""
    stack = f"the stack: service '{made.values['serviceName']}', target {asked.target}{door}"
    table = Table("written", "what it is", box=box.SIMPLE_HEAD)
    for place, what in {asked.places.stack: stack, **made.told}.items():
        shown = place.relative_to(asked.project) if place.is_relative_to(asked.project) else place
        table.add_row(escape(str(shown)), escape(what))
    console.print(table)
    for note in made.notes:
        say(note)
    if asked.target == Target.NODE_POOL.value:
        say(f"Write your image's repository and your node pool into stacks/Pulumi.{asked.name}.yaml. Then:")
        say(f"  make preview STACK={asked.name}     # shows what up would change")
    else:
        say("Next:")
        say(f"  make check STACK={asked.name}     # serves and asks it, then stops")
    say(f"  make up STACK={asked.name}        # deploys it, and shows how to call it")
