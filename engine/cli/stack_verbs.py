"""The verbs on stacks: `stack ls|init|select|rm|output|export|import`, and `cancel`."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from common.atomic_files import write_whole
from engine.errors import Cancelled, EngineError, StackNotFound, UsageError
from engine.state.backend import Stack, read_features
from engine.state.checkpoint import STACK_TYPE, urn_name, write_checkpoint, write_deployment
from engine.state.session import Session
from engine.state.values import plain


def show(args: Namespace) -> None:
    """Show the selected stack's resources and outputs: `stack`."""
    session = Session(Path(args.cwd))
    stack = session.stack(args.stack)
    deployment = stack.read()["deployment"] or {}
    resources = deployment.get("resources") or []
    print(f"Current stack is {stack.name}:")
    if manifest := deployment.get("manifest"):
        print(f"    Last updated: {manifest['time']}")
        print(f"    Pulumi version used: {manifest['version']}")
    print(f"Current stack resources ({len(resources)}):")
    width = max([len(item["type"]) for item in resources] + [4])
    for type_, name in [("TYPE", "NAME"), *((item["type"], urn_name(item["urn"])) for item in resources)]:
        print(f"    {type_:<{width}}  {name}")
    print()
    _print_outputs(_outputs(stack, session, show_secrets=args.show_secrets))


def ls(args: Namespace) -> None:
    """List the project's stacks: `stack ls`."""
    session = Session(Path(args.cwd))
    selected = session.project.selected_stack()
    rows: list[dict[str, Any]] = []
    for name in session.backend.stacks(session.project.name):
        stack = session.backend.stack(session.project.name, name)
        row: dict[str, Any] = {"name": name, "current": selected in (name, stack.full_name)}
        rows.append(row)
        if stack.compressed is not None:  # which must not hide the others
            continue
        deployment = stack.read()["deployment"] or {}
        if time := (deployment.get("manifest") or {}).get("time"):
            row["lastUpdate"] = _milliseconds(time)
        row["resourceCount"] = len(deployment.get("resources") or [])
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    width = max([len(row["name"]) + 1 for row in rows] + [4])
    print(f"{'NAME':<{width}}  {'LAST UPDATE':<24}  RESOURCE COUNT")
    for row in rows:
        name = row["name"] + ("*" if row["current"] else "")
        print(f"{name:<{width}}  {row.get('lastUpdate', 'n/a'):<24}  {row.get('resourceCount', 'n/a')}")


def _milliseconds(time: str) -> str:
    """Return the time as the CLI's listing has it, to the millisecond."""
    whole, _, fraction = time.rstrip("Z").partition(".")
    return f"{whole}.{fraction[:3]:0<3}Z"


def init(args: Namespace) -> None:
    """Make a stack: `stack init`."""
    if not (args.name or args.stack):
        raise EngineError("missing stack name: give it as an argument")
    _create(Session(Path(args.cwd)), args.name or args.stack, select=not args.no_select)


def _create(session: Session, name: str, *, select: bool) -> None:
    stack = session.place(name)
    if stack.exists():
        raise EngineError(f"stack '{stack.full_name}' already exists")
    settings = session.settings(stack)
    made = not settings.path.exists()
    try:
        crypter = session.new_crypter(settings)
        stack.write(write_checkpoint(stack.full_name, write_deployment((), (), crypter.state)))
    except EngineError:
        if made:
            settings.path.unlink(missing_ok=True)
        raise
    if select:
        session.project.select_stack(stack.full_name)
    print(f"Created stack '{stack.name}'")


def select(args: Namespace) -> None:
    """Choose the stack that verbs work on: `stack select`."""
    session = Session(Path(args.cwd))
    name = args.name or args.stack
    if name is None:
        raise StackNotFound("no stack selected; specify a stack name with --stack")
    stack = session.place(name)
    if stack.exists():
        session.project.select_stack(stack.full_name)
    elif args.create:
        _create(session, name, select=True)
    else:
        raise StackNotFound(f"no stack named '{name}' found")


def rm(args: Namespace) -> None:
    """Remove a stack and its settings file: `stack rm`."""
    session = Session(Path(args.cwd))
    stack = session.stack(args.name or args.stack)
    if not (args.yes or interactive(args)):
        raise UsageError("non-interactive mode requires --yes flag")
    if not (args.yes or _typed(f"This will permanently remove the '{stack.name}' stack!", stack.name)):
        raise Cancelled("confirmation declined")
    with stack.locked():
        resources = (stack.read()["deployment"] or {}).get("resources") or []
        if any(item["type"] != STACK_TYPE for item in resources) and not args.force:
            raise EngineError(
                f"'{stack.name}' still has resources; removal rejected. Destroy it first, or use --force."
            )
        forget(session, stack, preserve_config=args.preserve_config)


def interactive(args: Namespace) -> bool:
    """Tell whether there is a person to ask."""
    return not args.non_interactive and sys.stdin.isatty() and sys.stdout.isatty()


def _typed(prompt: str, name: str) -> bool:
    """Tell whether the person types the stack's name, as the CLI asks for it."""
    try:
        return (
            input(f"{prompt}\nPlease confirm that this is what you'd like to do by typing `{name}`: ").strip() == name
        )
    except EOFError:
        return False


def forget(session: Session, stack: Stack, *, preserve_config: bool) -> None:
    """Remove a stack, its settings file and its selection."""
    stack.remove()
    if not preserve_config:
        session.project.stack_file(stack.name).unlink(missing_ok=True)
    if session.project.selected_stack() in (stack.name, stack.full_name):
        session.project.select_stack(None)
    print(f"Stack '{stack.name}' has been removed!")


def output(args: Namespace) -> None:
    """Show the stack's outputs: `stack output`."""
    session = Session(Path(args.cwd))
    stack = session.stack(args.stack, to_read=True)
    outputs = _outputs(stack, session, show_secrets=args.show_secrets)
    if args.name is not None:
        if args.name not in outputs:
            raise EngineError(f"current stack does not have output property '{args.name}'")
        value = outputs[args.name]
        print(json.dumps(value, indent=2, ensure_ascii=False) if args.json else _text(value))
    elif args.json:
        print(json.dumps(outputs, indent=2, ensure_ascii=False))
    else:
        _print_outputs(outputs)


def _outputs(stack: Stack, session: Session, *, show_secrets: bool) -> dict[str, Any]:
    state = session.state(stack) if show_secrets else session.state(stack, lambda _salt: lambda _text: '"[secret]"')
    return {
        key: plain(value, hide=None if show_secrets else "[secret]") for key, value in sorted(state.outputs().items())
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _print_outputs(outputs: dict[str, Any]) -> None:
    print(f"Current stack outputs ({len(outputs)}):")
    if not outputs:
        print("    No output values currently in this stack")
        return
    width = max([len(key) for key in outputs] + [6])
    print(f"    {'OUTPUT':<{width}}  VALUE")
    for key, value in outputs.items():
        print(f"    {key:<{width}}  {_text(value)}")


def export(args: Namespace) -> None:
    """Print the stack's state: `stack export`."""
    session = Session(Path(args.cwd))
    stack = session.stack(args.stack)
    document = stack.read()
    deployment = document["deployment"] or {}
    if args.show_secrets:
        state = session.state(stack)
        decrypt = session.decrypter(state.secrets_state)
        deployment = _revealed(deployment, decrypt)
    exported = {"version": document["version"], "features": document["features"], "deployment": deployment}
    if not exported["features"]:
        del exported["features"]
    text = json.dumps(exported, indent=4, ensure_ascii=False) + "\n"
    if args.file:
        write_whole(Path(args.file), text)
    else:
        sys.stdout.write(text)


def _revealed(value: Any, decrypt: Any) -> Any:
    """Return the deployment's JSON with each ciphertext replaced by its plaintext."""
    if isinstance(value, dict):
        if "ciphertext" in value:
            return {key: item for key, item in value.items() if key != "ciphertext"} | {
                "plaintext": decrypt(value["ciphertext"])
            }
        return {key: _revealed(item, decrypt) for key, item in value.items()}
    return [_revealed(item, decrypt) for item in value] if isinstance(value, list) else value


def import_(args: Namespace) -> None:
    """Replace the stack's state by an exported one: `stack import`."""
    session = Session(Path(args.cwd))
    stack = session.stack(args.stack)
    try:
        text = Path(args.file).read_text(encoding="utf-8") if args.file else sys.stdin.read()
        document = json.loads(text)
        version, features = document["version"], read_features(document)
        # A backup is a checkpoint, which holds its deployment one level down.
        deployment = document["checkpoint"]["latest"] if "checkpoint" in document else document["deployment"]
        if not isinstance(deployment, dict):
            raise TypeError(deployment)
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError("could not deserialize deployment: expected what 'stack export' writes") from error
    except OSError as error:
        raise EngineError(f"could not open file '{args.file}': {error.strerror}") from None
    with stack.locked():
        session.import_deployment(stack, version, deployment, features, force=args.force)
    print("Import complete.")


def cancel(args: Namespace) -> None:
    """Take away the locks of a run that was killed: `cancel`."""
    session = Session(Path(args.cwd))
    stack = session.stack(args.name or args.stack)
    prompt = f"This will irreversibly cancel the currently running update for '{stack.name}'!"
    if interactive(args) and not (args.yes or _typed(prompt, stack.name)):
        raise Cancelled("confirmation declined")
    stack.cancel()
    print(f"The currently running update for '{stack.name}' has been canceled!")
