"""Keep a server and the processes that it starts together: `python -I -m serving.keeping.keeper [OPTIONS] -- COMMAND`.

    keeper ── COMMAND (Triton, the scorer's master, Envoy) ── its own processes (models, workers)

The keeper starts COMMAND, hands signals on to it and exits with its status. When COMMAND ends, the keeper ends the
processes that it left behind: a Triton that crashes leaves those of its models. Every 0.2 s the keeper looks after
COMMAND's processes:

    --memory-mb N   All of them together use N MiB at most; when they use more, the keeper kills the largest.
    --triton URL    COMMAND is a Triton at this address: when the process of a model dies, the keeper loads the model
                    again. Triton gets a response cache where a model asks for one.

It needs nothing but the standard library, and runs in the server's environment, also as a container's first process.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from serving.keeping import process_tree
from serving.keeping.response_cache import with_cache

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LOOK_SECONDS = 0.2
CANNOT_START = 127  # a shell's status for a command that it does not find
# The keeper hands these signals on. The others keep their meaning: a keeper that is killed takes its command along.
HANDED_ON = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}

Look = Callable[[Sequence[int]], None]
"""Looks at the processes below this one, given by their ids."""


def keep(
    command: Sequence[str],
    *,
    memory_mb: int | None = None,
    triton: str | None = None,
    directory: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> int:
    """Run a command until it ends.

    Args:
        command: the program and its arguments.
        memory_mb: the bound on the memory of all its processes, in MiB; None means no bound.
        triton: the address at which the command is a Triton; None where it is not.
        directory: the command's working directory, by default this process's.
        variables: the command's environment, by default this process's.

    Returns:
        The command's exit status, as a shell gives it.
    """
    looks = list(_looks(memory_mb, triton))
    if triton:
        command = with_cache(command)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # a process that loses its parent becomes a child of this one
    waited_for = HANDED_ON | {signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
    child = os.fork()
    if child == 0:
        try:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            if directory is not None:
                os.chdir(directory)
            os.execvpe(command[0], list(command), os.environ if variables is None else variables)
        except OSError as error:
            print(f"{command[0]} cannot be started: {error.strerror}", file=sys.stderr, flush=True)
        finally:
            os._exit(CANNOT_START)
    while (status := _reap(child)) is None:
        arrived = signal.sigtimedwait(waited_for, LOOK_SECONDS)
        if arrived is None:
            below = process_tree.descendants(os.getpid()) if looks else []
            for look in looks:
                look(below)
        elif arrived.si_signo in HANDED_ON:
            os.kill(child, arrived.si_signo)
    _end_the_rest()
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _looks(memory_mb: int | None, triton: str | None) -> Iterator[Look]:
    # The imports stand here because a keeper without these options needs less memory.
    if memory_mb:
        from serving.keeping.memory_bound import MemoryBound

        yield MemoryBound(memory_mb).look
    if triton:
        from serving.keeping.revival import Revival

        yield Revival(triton).look


def _reap(child: int) -> int | None:
    """Collect the processes that have ended; give the status of `child`, or None while it runs."""
    status = None
    while True:
        try:
            pid, ended = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == child:
            status = ended


def _end_the_rest() -> None:
    """Kill the processes that the command left behind, and wait until they are gone."""
    while left := process_tree.descendants(os.getpid()):
        for pid in left:
            process_tree.kill(pid)
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                break


def main() -> None:
    """Run the keeper from the command line, and exit with the command's status."""
    parser = argparse.ArgumentParser(prog="python -m serving.keeping.keeper", description=__doc__.partition("\n")[0])
    parser.add_argument("--memory-mb", type=int, metavar="N", help="what all processes may use together, in MiB")
    parser.add_argument("--triton", metavar="URL", help="the address of the Triton that is started")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    sys.exit(keep(options.command, memory_mb=options.memory_mb, triton=options.triton))


if __name__ == "__main__":
    main()
