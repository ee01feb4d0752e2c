"""One operation on a stack: an update, a refresh or a destroy, or the preview of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from engine.errors import Cancelled, EngineError, OperationFailed
from engine.providers.builtin import Builtin
from engine.providers.running_providers import Registry
from engine.run.construction import Constructions
from engine.run.deletion import Deletions
from engine.run.goals import Registers, Reporter
from engine.run.host import Host
from engine.run.launcher import Run
from engine.run.monitor import Monitor, Server, deployment_info
from engine.run.reading import Readings
from engine.run.recognition import Recognition
from engine.run.registration import Registrations
from engine.run.work import Work
from engine.state.checkpoint import State
from engine.state.project import Project
from engine.state.snapshot import Journal, Snapshot
from engine.state.stack_file import Configuration
from engine.state.values import Properties


@dataclass(frozen=True)
class Target:
    """The stack that an operation is on. `encrypt` and `secrets_state` are those that its state is written with."""

    project: Project
    stack: str
    configuration: Configuration
    encrypt: Callable[[str], str]
    secrets_state: str


@dataclass(frozen=True)
class Plan:
    """What to do: `kind` is `update`, `refresh` or `destroy`; with `preview`, nothing outside is changed.

    With `plugins_optional`, resources whose provider is not installed are taken as the program has them. An operation
    that is `followed` by another leaves its processes to that one, unless it fails.
    """

    kind: str
    preview: bool = False
    refresh: bool = False
    parallel: int = 16
    clear_pending_creates: bool = False
    run_program: bool = False
    plugins_optional: bool = False
    followed: bool = False


class Operation:
    """Carries out a plan.

    Ctrl-C (or SIGTERM) asks the providers to end in order what is under way, waits for that and starts nothing more; a
    second one kills it.
    """

    def __init__(
        self,
        target: Target,
        plan: Plan,
        state: State,
        journal: Journal | None,
        *,
        host: Host,
        reporter: Reporter,
        builtin: Builtin,
    ) -> None:
        self._target = target
        self._plan = plan
        self._state = state
        self._host = host
        self._reporter = reporter
        self._snapshot = Snapshot(state, target.encrypt, target.secrets_state, journal)
        host.attach(reporter)
        self._registry = Registry(
            host.plugins,
            builtin,
            optional=plan.plugins_optional,
            on_missing=lambda message: reporter.log("warning", message),
        )
        self._work = Work(
            target.project.name,
            target.stack,
            self._snapshot,
            self._registry,
            reporter,
            preview=plan.preview,
            parallel=plan.parallel,
        )
        self._deletions = Deletions(self._work)
        self._readings = Readings(self._work)
        self._wake = threading.Event()
        self._done = False
        self._failure: EngineError | None = None
        self._interrupts = 0

    def run(self) -> None:
        """Carry out the plan.

        Raises:
            OperationFailed: A step or the program failed.
            Cancelled: A person stopped the operation.
        """
        with self._interruptible():
            try:
                self._prepare()
                if self._plan.kind == "update":
                    with self._program(Registrations(self._work, self._deletions), self._work.register_outputs):
                        self._deletions.delete_rest()
                elif self._plan.run_program:
                    recognition = Recognition(self._work)
                    with self._program(recognition, recognition.register_outputs):
                        pass
                elif self._plan.kind == "destroy":
                    self._deletions.delete_rest()
            except EngineError as error:
                self._fail(error)
            finally:
                self._finish()
        what = "preview" if self._plan.preview else self._plan.kind
        if self._interrupts:
            raise Cancelled(f"{what} canceled")
        if self._failure is not None:
            raise OperationFailed(f"{what} failed") from self._failure

    def _prepare(self) -> None:
        """Start the providers that the state needs, and reads what has to be read."""
        for item in self._state.resources:
            if item.is_provider and not item.delete:
                self._registry.prestart(item)
        for operation in self._state.pending:
            self._name_pending(operation.type, operation.resource.urn)
        if self._plan.refresh or self._plan.kind == "refresh":
            self._readings.refresh(clear_pending_creates=self._plan.clear_pending_creates)
        elif self._state.pending and not self._plan.preview:
            self._readings.refresh({item.resource.urn for item in self._state.pending if item.type != "creating"})

    def _name_pending(self, type_: str, urn: str) -> None:
        message = f"an earlier run was killed while {type_} this"
        if type_ == "creating":
            message += (
                "; whether the object exists is not known. It is created again if the program still declares it; "
                "otherwise look for it, and 'refresh --clear-pending-creates'"
            )
        elif not self._plan.preview:
            message += ": reading what there is now"
        self._reporter.log("warning", message, urn)

    # The program.

    @contextmanager
    def _program(self, registrations: Registers, set_outputs: Callable[[str, Properties], None]) -> Iterator[None]:
        """Run the program, as far as to its last registration; it ends when the context does."""
        target, plan = self._target, self._plan
        info = deployment_info(
            target.project.name, target.stack, target.configuration, preview=plan.preview, parallel=plan.parallel
        )
        monitor = Monitor(
            registrations,
            self._readings,
            Constructions(self._work, registrations, info),
            set_outputs,
            info,
            on_done=self._on_done,
            on_failed=self._fail,
        )
        server = Server(monitor)
        errors = self._host.log.errors
        program = self._host.launcher.run(self._options(server.address))
        status: list[int] = []
        waiter = threading.Thread(target=self._wait_for, args=(program, status), daemon=True)
        waiter.start()
        self._wake.wait()
        try:
            monitor.finish()
            if self._failure is not None:
                raise self._failure
            self._work.refuse_stopped()
            if not self._done and status != [0]:
                raise _program_failed(status[0], shown=self._host.log.errors > errors)
            yield
        finally:
            if not self._done or self._failure is not None:
                program.kill()
            monitor.close()
            waiter.join()
            server.stop()

    def _options(self, monitor: str) -> dict[str, Any]:
        target, plan = self._target, self._plan
        return {
            "project": target.project.name,
            "stack": target.stack,
            "root_directory": str(target.project.root),
            "monitor": monitor,
            "engine": self._host.address,
            "parallel": plan.parallel,
            "dry_run": plan.preview,
            "config": target.configuration.values,
            "secret_keys": sorted(target.configuration.secret_keys),
        }

    def _wait_for(self, program: Run, status: list[int]) -> None:
        status.append(program.wait())
        self._wake.set()

    def _on_done(self) -> None:
        self._done = True
        self._wake.set()

    # Ends.

    def _fail(self, error: EngineError) -> None:
        """Take note of a failure, shows it if nobody has, and lets nothing more start."""
        if not (error.shown or isinstance(error, Cancelled)):
            error.shown = True
            self._reporter.log("error", str(error))
        if self._failure is None:
            self._failure = error
        self._work.stop()
        self._wake.set()

    def _finish(self) -> None:
        failed = self._failure is not None or self._interrupts > 0
        if self._plan.followed and not failed:
            self._registry.release()
        else:
            self._host.stop()
        ends: tuple[Callable[[], None], ...] = (
            lambda: self._work.settle_outputs(failed=failed),
            self._snapshot.close,
        )
        for end in ends:
            try:
                end()
            except EngineError as error:
                self._fail(error)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        former: dict[signal.Signals, Any] = {
            number: signal.signal(number, self._interrupt)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            # nohup means it; a shell that starts something in the background has it ignore Ctrl-C for its own sake
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
        }
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _interrupt(self, number: int, frame: object) -> None:
        self._interrupts += 1
        threading.Thread(target=self._stop, args=(self._interrupts,), daemon=True).start()

    def _stop(self, times: int) -> None:
        self._work.stop()
        if times == 1:
            self._reporter.log("warning", "stopping: what is under way may end; press Ctrl-C again to kill it")
            self._registry.cancel()
            self._wake.set()
        else:
            self._host.kill()


def _program_failed(status: int, *, shown: bool) -> EngineError:
    how = f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
    error = EngineError(f"The program {how}.")
    error.shown = shown
    return error
