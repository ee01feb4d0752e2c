"""The command line, with the flags of Azure's server. Each flag sets an environment variable."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import NoReturn

from serving import __version__

BAD_ARGUMENTS = 1


class _Parser(argparse.ArgumentParser):
    """Prints the whole help with each mistake, and exits with the status of Azure's server."""

    def error(self, message: str) -> NoReturn:
        self.print_help(sys.stderr)
        self.exit(BAD_ARGUMENTS, f"\n{self.prog}: {message}\n")


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, received {text}")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number above zero, received {text}")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    flags = _Parser(prog="python -m serving", description=f"Entry script server {__version__}")
    flags.add_argument("--entry_script", help="the script with init() and run() (AZUREML_ENTRY_SCRIPT)")
    flags.add_argument("--model_dir", help="the folder with the models (AZUREML_MODEL_DIR)")
    flags.add_argument("--host", help="the address to listen on (SERVER_HOST); 127.0.0.1 by default")
    flags.add_argument("--port", type=_port, help="the port to listen on (SERVER_PORT); 5001 by default")
    flags.add_argument("--health_port", type=_port, help="a second port for health, with SEPERATE_HEALTH_ENDPOINT=true")
    flags.add_argument(
        "--worker_count", type=_count, help="the number of worker processes (WORKER_COUNT); 1 by default"
    )
    flags.add_argument(
        "--access_control_allow_origins", help="origins for CORS, with commas between (AML_CORS_ORIGINS)"
    )
    flags.add_argument("--config_file", help="a JSON file with environment variables as its keys")
    flags.add_argument(
        "--appinsights_instrumentation_key", help="accepted and ignored: there is no Application Insights"
    )
    flags.add_argument("--rest", action="store_true", help=argparse.SUPPRESS)
    return flags


def apply(arguments: Sequence[str] | None, environment: MutableMapping[str, str]) -> None:
    """Turn flags into environment variables.

    Args:
        arguments: the command line; None means this process's own.
        environment: the variables; each given flag sets one of them.

    Raises:
        SystemExit: a flag cannot be used, or nothing names a script; the status is 1.
    """
    flags = parser()
    options = flags.parse_args(arguments)
    if options.entry_script:
        environment["AZUREML_ENTRY_SCRIPT"] = os.path.realpath(options.entry_script)
    if options.config_file:
        environment["AZUREML_CONFIG_FILE"] = os.path.realpath(options.config_file)
    for value, variable in (
        (options.model_dir, "AZUREML_MODEL_DIR"),
        (options.host, "SERVER_HOST"),
        (options.port, "SERVER_PORT"),
        (options.health_port, "HEALTH_PORT"),
        (options.worker_count, "WORKER_COUNT"),
        (options.access_control_allow_origins, "AML_CORS_ORIGINS"),
    ):
        if value is not None:
            environment[variable] = str(value)
    app_root = Path(environment.get("AML_APP_ROOT") or Path.cwd())
    is_named = any(environment.get(name) for name in ("AZUREML_ENTRY_SCRIPT", "AZUREML_CONFIG_FILE"))
    if not is_named and not (app_root / "main.py").is_file():
        flags.error("no script to run: give --entry_script, or --config_file, or set AZUREML_ENTRY_SCRIPT")
