"""Runs a Pulumi program: `python program.py <options> <program>`, the engine's side of the SDK's entry point.

A script of its own process, which imports the SDK and nothing of the engine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import re
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pulumi
import pulumi.runtime
from pulumi.runtime import settings, stack

_MESSAGE_SHOWN = 32


def _user_traceback(program: str) -> str:
    """The exception's traceback, from the first frame of the project's own code on."""
    error = sys.exc_info()[1]
    assert error is not None
    folder = Path(program).resolve()
    folder = folder if folder.is_dir() else folder.parent
    for index, frame in enumerate(frames := traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_file() and folder in path.resolve().parents and "site-packages" not in path.parts:
            return traceback.format_exc(limit=index - len(frames))
    return "".join(traceback.format_exception_only(type(error), error))


def main() -> int:
    parser = argparse.ArgumentParser()
    for option in ("project", "stack", "root_directory", "monitor", "engine"):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--parallel", type=int, required=True)
    parser.add_argument("--dry_run", action="store_true")
    parser.add_argument("program")
    args = parser.parse_args()

    config = json.loads(os.environ["PULUMI_CONFIG"])
    pulumi.runtime.set_all_config(config, json.loads(os.environ["PULUMI_CONFIG_SECRET_KEYS"]))
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            monitor=args.monitor,
            engine=args.engine,
            project=args.project,
            stack=args.stack,
            parallel=args.parallel,
            dry_run=args.dry_run,
            organization="organization",
            root_directory=args.root_directory,
        )
    )
    _quicken_sdk()
    sys.argv = [args.program]
    sys.path.pop(0)  # this script's folder, which is no part of the program
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(max_workers=args.parallel)
    loop.set_default_executor(executor)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # a failed run leaves futures that nobody awaits
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: _run(args.program)))
        return 0
    except pulumi.RunError as error:
        pulumi.log.error(_of_this_engine(str(error)))
        return 1
    except Exception:
        message = _of_this_engine(_user_traceback(args.program))
        pulumi.log.error(f"Program failed with an unhandled exception:\n{message}")
        return _MESSAGE_SHOWN
    finally:
        executor.shutdown(wait=True)
        loop.close()


def _of_this_engine(message: str) -> str:
    """The message with what the SDK says of an old CLI said of the embedded engine, which it takes for one."""
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
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # without the interpreter's clean-up, which takes 0.1 s and has nothing to save
