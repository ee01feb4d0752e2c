"""The verbs that run operations: `preview`, `up`, `refresh` and `destroy`."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.stack_verbs import forget
from engine.providers.children import Children
from engine.run.launcher import Launcher
from engine.run.relay import Relay
from engine.state.session import Session

if TYPE_CHECKING:
    from engine.cli.update_run import UpdateRun


def preview(args: Namespace) -> None:
    """Show what an update would change."""
    with _open(args, "update") as run:
        run.preview()


def up(args: Namespace) -> None:
    """Create, update and delete resources until they are what the program says."""
    with _open(args, "update") as run:
        run.change(preview_first=True)


def refresh(args: Namespace) -> None:
    """Make the state what the providers find."""
    with _open(args, "refresh") as run:
        run.change(preview_first=not args.yes)


def destroy(args: Namespace) -> None:
    """Delete every resource of the stack."""
    with _open(args, "destroy") as run:
        run.change(preview_first=True)
        if args.remove and not args.preview_only:
            forget(run.session, run.stack, preserve_config=args.preserve_config)


@contextmanager
def _open(args: Namespace, kind: str) -> Iterator[UpdateRun]:
    """Open the command's run. All processes that it starts end with it."""
    children = Children()  # forks: before any thread
    relay = Relay()
    try:
        session = Session(Path(args.cwd), os.environ)
        ahead = kind == "update"
        launcher = Launcher(children, session.project, session.environment, relay.line) if ahead else None

        # Only now, while the program's own imports are under way: gRPC is the larger part of the engine's.
        from engine.cli.update_run import UpdateRun
        from engine.run.host import Host

        with Host(children, session.project, session.environment, relay, launcher) as host:
            yield UpdateRun(args, kind, session, host)
    finally:
        relay.close()
        children.close()
