"""The start of a script in a process: hooks, import, init(), and the report of a script that cannot be served."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType

from serving import server_log
from serving.azure import module_names
from serving.script import child_processes, entry_script
from serving.script.advice import import_advice
from serving.settings import Settings
from serving.triton import hooks as triton_hooks
from serving.triton import redirect

logger = logging.getLogger("azmlinfsrv")

# Gunicorn's arbiter stops the server when a worker exits with this code.
BOOT_ERROR = 3


class BootError(entry_script.ScriptError):
    """A script that failed to import or to initialise; the reason is printed already."""


def boot(settings: Settings, *, call_init: bool) -> entry_script.Script:
    """Import the script, and call its init().

    Args:
        settings: the server's settings.
        call_init: whether to call init() here; the worker of an asynchronous script calls it in its loop.

    Raises:
        BootError: the script failed; the reason is printed.
    """
    server_log.redirect_print()
    redirect.install(redirect.ports(os.environ))
    triton_hooks.install(settings)
    module_names.install()
    child_processes.install()
    try:
        loaded = entry_script.load(settings)
        if call_init and loaded.is_async:
            raise entry_script.ScriptError(
                f"{loaded.path}: run() is asynchronous, which its text does not show, so that its worker is not. "
                "Write `async def run(data)` in it, which awaits the other."
            )
    except entry_script.ScriptError as error:
        logger.error("%s", error)
        print(error, file=sys.stderr, flush=True)
        raise BootError from error
    except BaseException as error:
        report("The entry script failed to import", error, settings)
        raise BootError from error
    if call_init:
        logger.info("Invoking user's init function")
        try:
            result = loaded.init()
            if inspect.iscoroutine(result):
                asyncio.run(result)
        except BaseException as error:
            report("User's init function failed", error, settings)
            raise BootError from error
        logger.info("User's init has completed successfully")
    return loaded


def report(message: str, error: BaseException, settings: Settings) -> None:
    """Print the script's traceback to stderr, without the server's frames; log the files of the model folder."""
    text = "".join(traceback.format_exception(type(error), error, _own_frames(error, settings)))
    advice = import_advice(text)
    print(f"{message}:\n{text}" + (f"({advice})\n" if advice else ""), file=sys.stderr, flush=True)
    if settings.model_dir and Path(settings.model_dir).is_dir():
        logger.info("Model Directory Contents:")
        for line in server_log.walk(Path(settings.model_dir)):
            logger.info(line)


def _own_frames(error: BaseException, settings: Settings) -> TracebackType | None:
    path = str(entry_script.locate(settings))
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename != path:
        frame = frame.tb_next
    return frame or error.__traceback__
