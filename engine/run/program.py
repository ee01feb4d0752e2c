"""Runs a Pulumi program, once or several times: `python program.py <socket> <program> <module>...`.

A script of its own process, which imports the SDK and nothing of the engine. It imports the modules that the project
names to be loaded ahead, and then forks a process for each run that the engine asks for:

    engine                          this process                    forked process
      | a run's options, as JSON,     |                               |
      | and its stdout and stderr     |                               |
      |------------------------------>| fork ------------------------>| runs the program
      |        exit status, a line    | waits <-----------------------|
      |<------------------------------|

So nothing of one run is seen by the next, and what all of them need is imported once.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import re
import runpy
import socket
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pulumi
import pulumi.runtime
from pulumi.runtime import settings, stack

_MESSAGE_SHOWN = 32


def _user_traceback(program: str) -> str:
    """Return the exception's traceback, from the first frame of the project's own code on."""
    error = sys.exc_info()[1]
    assert error is not None
    folder = Path(program).resolve()
    folder = folder if folder.is_dir() else folder.parent
    for index, frame in enumerate(frames := traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_file() and folder in path.resolve().parents and "site-packages" not in path.parts:
            return traceback.format_exc(limit=index - len(frames))
    return "".join(traceback.format_exception_only(type(error), error))


def serve(control: socket.socket, program: str, modules: list[str]) -> None:
    """Run the program for each request of the engine, until the engine closes its end."""
    sys.argv = [program]
    sys.path.pop(0)  # this script's folder, which is no part of the program
    _quicken_sdk()
    _load(program, modules)
    while request := _receive(control):
        options, streams = request
        pid = os.fork()
        if pid == 0:
            control.close()
            for stream, number in zip(streams, (1, 2), strict=True):
                os.dup2(stream, number)
                os.close(stream)
            status = _ended(program, options)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)  # without the interpreter's clean-up, which takes 0.1 s and has nothing to save
        for stream in streams:
            os.close(stream)
        _, ended = os.waitpid(pid, 0)
        control.sendall(b"%d\n" % os.waitstatus_to_exitcode(ended))


def _load(program: str, modules: list[str]) -> None:
    """Import modules ahead. A module that cannot be imported is left to the program, which tells of it better."""
    folder = program if Path(program).is_dir() else str(Path(program).parent)
    sys.path.insert(0, folder)
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            print(f"'{module}' of the project's preload cannot be imported: {error}", file=sys.stderr)
    sys.path.remove(folder)
    # What a thread holds at the fork stays locked in the forked process for ever.
    if threading.active_count() > 1:
        names = ", ".join(thread.name for thread in threading.enumerate() if thread is not threading.main_thread())
        sys.exit(f"The modules of the project's preload start threads ({names}); leave those modules to the program.")


def _receive(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    text, streams, _, _ = socket.recv_fds(control, 65536, 2)
    while text and not text.endswith(b"\n"):
        more = control.recv(65536)
        text = text + more if more else b""
    return (json.loads(text), streams) if text else None


def _ended(program: str, options: dict[str, Any]) -> int:
    """Return the exit status of a run, however it ends: no exception may leave a forked process."""
    try:
        return run(program, options)
    except SystemExit as end:
        if isinstance(end.code, (int, type(None))):
            return end.code or 0
        print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    return 1


def run(program: str, options: dict[str, Any]) -> int:
    """Run the program once, to its end. Return the exit status."""
    config, secret_keys = options.pop("config"), options.pop("secret_keys")
    os.environ["PULUMI_CONFIG"] = json.dumps(config)
    os.environ["PULUMI_CONFIG_SECRET_KEYS"] = json.dumps(secret_keys)
    pulumi.runtime.set_all_config(config, secret_keys)
    pulumi.runtime.configure(pulumi.runtime.Settings(organization="organization", **options))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(max_workers=options["parallel"])
    loop.set_default_executor(executor)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # a failed run leaves futures that nobody awaits
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: _run(program)))
        return 0
    except pulumi.RunError as error:
        pulumi.log.error(_of_this_engine(str(error)))
        return 1
    except Exception:
        message = _of_this_engine(_user_traceback(program))
        pulumi.log.error(f"Program failed with an unhandled exception:\n{message}")
        return _MESSAGE_SHOWN
    finally:
        executor.shutdown(wait=True)
        loop.close()


def _of_this_engine(message: str) -> str:
    """Return the message with what the SDK says of an old CLI said of the embedded engine, which it takes for one."""
    return re.sub(
        r"The Pulumi CLI does not support (.*?)\. Please update the Pulumi CLI\.",
        r"The embedded engine does not support \1. The Pulumi CLI has it: https://www.pulumi.com/docs/install/",
        message,
    )


def _quicken_sdk() -> None:
    """Spare the SDK two things that cost much in a large program and give this engine nothing.

    For each resource it sends three messages that only the CLI's `--debug` shows. And while it waits for outputs, it
    looks at all of them again whenever one is known, which makes the square of their number.
    """
    wait_for_rpcs = stack.wait_for_rpcs

    async def wait(await_all_outstanding_tasks: bool = True) -> None:
        await wait_for_rpcs(False)
        failed = False
        while not failed and (outputs := _outstanding()):
            done, _ = await asyncio.wait(outputs, return_when=asyncio.FIRST_EXCEPTION)
            failed = any(output.cancelled() or output.exception() for output in done)
        # What has failed is raised by the SDK itself.
        await wait_for_rpcs(await_all_outstanding_tasks)

    stack.wait_for_rpcs = wait
    pulumi.log.debug = lambda *_message, **_about: None


def _outstanding() -> set[asyncio.Task[object]]:
    with settings.SETTINGS.lock:
        return {output for output in settings.SETTINGS.outputs if not output.done()}


def _run(program: str) -> None:
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], sys.argv[3:])
