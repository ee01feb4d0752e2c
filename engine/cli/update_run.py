"""One command's operations on one stack: the preview, the confirmation, the update and its entry in the history."""

from __future__ import annotations

import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

from engine.cli.display import Display
from engine.cli.json_preview import Digest
from engine.cli.masking import Mask
from engine.cli.stack_verbs import interactive
from engine.errors import Cancelled, ConfirmationNeeded, EngineError, UnexpectedChanges, UsageError
from engine.providers.builtin import Builtin
from engine.run.goals import Reporter
from engine.run.host import Host
from engine.run.operation import Operation, Plan, Target
from engine.state.backend import Stack
from engine.state.checkpoint import State, write_checkpoint
from engine.state.session import Session
from engine.state.stack_file import StackFile

_TITLES = {"update": "Updating", "refresh": "Refreshing", "destroy": "Destroying"}


class UpdateRun:
    """One command's run on one stack: an `update`, a `refresh` or a `destroy`.

    Args:
        args: The command's flags.
        kind: The operation, in Pulumi's terms.
        session: The project, its backend and its secrets.
        host: The processes that the run's operations share.

    Raises:
        EngineError: The stack is missing, or its settings or its passphrase are not right.
    """

    def __init__(self, args: Namespace, kind: str, session: Session, host: Host) -> None:
        self._args = args
        self._kind = kind
        self._host = host
        self._counts: Counter[str] = Counter()
        """What the last operation changed, also where it failed."""
        self.session = session
        self.stack = session.stack(args.stack)
        self._settings: StackFile = session.settings(self.stack)
        crypter = session.crypter(self.stack, self._settings)
        if kind == "update" or args.run_program:
            self._settings.check(self.stack.name, crypter.decrypt)
        self._target = Target(
            project=session.project,
            stack=self.stack.name,
            configuration=self._settings.configuration(crypter.decrypt),
            encrypt=crypter.encrypt,
            secrets_state=crypter.state,
        )
        self._reporter = self._make_reporter()

    def _make_reporter(self) -> Reporter:
        mask = Mask(self._target.configuration.secrets)
        if getattr(self._args, "json", False):
            return Digest(self._target.configuration, mask, show_sames=self._args.show_sames)
        return Display(
            mask,
            show_diff=self._args.diff,
            show_sames=self._args.show_sames,
            show_outputs=not self._args.suppress_outputs,
        )

    def preview(self) -> None:
        """Show what an update would change.

        Raises:
            UnexpectedChanges: There is something to change, and `--expect-no-changes` says there is not.
        """
        counts = self._operate(self.session.state(self.stack), preview=True, plugins_optional=True)
        self._check_expected(counts, "no changes were expected but changes were proposed")

    def change(self, *, preview_first: bool) -> None:
        """Carry out the operation, after a preview and a confirmation where the flags ask for them.

        Raises:
            ConfirmationNeeded: Nobody may be asked, and no flag says to go on.
            Cancelled: The person stopped the operation, or did not confirm it.
            OperationFailed: A step or the program failed.
            UnexpectedChanges: There was something to change, and `--expect-no-changes` says there is not.
        """
        args = self._args
        if not (args.yes or args.skip_preview or args.preview_only or interactive(args)):
            # The CLI's own exit statuses, which differ.
            kind = UsageError if self._kind == "refresh" else ConfirmationNeeded
            raise kind(
                "--yes or --skip-preview or --preview-only must be passed in to proceed when running in "
                "non-interactive mode"
            )
        if args.preview_only and (args.yes or args.skip_preview):
            other = "--yes" if args.yes else "--skip-preview"
            raise UsageError(f"{other} and --preview-only cannot be used together")
        with nullcontext() if args.preview_only else self.stack.locked():
            state = self.session.state(self.stack)
            if (preview_first and not args.skip_preview) or args.preview_only:
                counts = self._operate(state, preview=True, followed=not args.preview_only)
                if args.preview_only:
                    self._check_expected(counts, "no changes were expected but changes were proposed")
                    return
                if not (args.yes or _confirmed(self._kind)):
                    raise Cancelled(f"confirmation declined, not proceeding with the {self._kind}")
            counts = self._recorded(lambda: self._operate(state, preview=False))
            self._check_expected(counts, "no changes were expected but changes occurred")

    def _check_expected(self, counts: Counter[str], message: str) -> None:
        if self._args.expect_no_changes and counts.keys() - {"same", "discard"}:
            raise UnexpectedChanges(message)

    def _operate(
        self, state: State, *, preview: bool, plugins_optional: bool = False, followed: bool = False
    ) -> Counter[str]:
        args = self._args
        title = (
            f"Previewing {self._kind} ({self.stack.name})" if preview else f"{_TITLES[self._kind]} ({self.stack.name})"
        )
        self._reporter.begin(title, preview=preview)
        plan = Plan(
            kind=self._kind,
            preview=preview,
            refresh=args.refresh,
            parallel=max(1, args.parallel),
            clear_pending_creates=args.clear_pending_creates,
            run_program=args.run_program,
            plugins_optional=plugins_optional,
            followed=followed,
        )
        try:
            Operation(
                self._target,
                plan,
                state,
                None if preview else self._write,
                host=self._host,
                reporter=self._reporter,
                builtin=Builtin(self._find, self.session.state),
            ).run()
        finally:
            self._counts = self._reporter.end()
        return self._counts

    def _write(self, deployment: str, features: tuple[str, ...]) -> None:
        self.stack.write(write_checkpoint(self.stack.full_name, deployment, features))

    def _find(self, name: str) -> Stack:
        return self.session.backend.stack(self.session.project.name, name)

    def _recorded(self, operate: Callable[[], Counter[str]]) -> Counter[str]:
        """Keep a backup of the state before the operation, and an entry in the stack's history after it."""
        self.stack.back_up()
        started = int(time.time())
        try:
            counts = operate()
        except EngineError:
            with suppress(EngineError):  # what stopped the operation is the news, not that its entry cannot be written
                self.stack.add_history(self._entry(started, "failed", self._counts))
            raise
        self.stack.add_history(self._entry(started, "succeeded", counts))
        return counts

    def _entry(self, started: int, result: str, counts: Counter[str]) -> dict[str, Any]:
        return {
            "kind": self._kind,
            "startTime": started,
            "message": self._args.message or "",
            "environment": {"exec.kind": "embedded engine"},
            "config": self._settings.config,
            "version": 0,
            "result": result,
            "endTime": int(time.time()),
            "resourceChanges": dict(counts),
        }


def _confirmed(noun: str) -> bool:
    try:
        return input(f"Do you want to perform this {noun}? [yes/no] ").strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        return False
