"""The start of the server: reads the settings, then runs the master process."""

from __future__ import annotations

import logging
import os
import sys

from serving import flags, server_log, settings, start_log
from serving.azure import module_names
from serving.flags import BAD_ARGUMENTS
from serving.front.arbiter import ScriptArbiter
from serving.script import entry_script, shadowed


def main() -> None:
    """Serve until a signal says stop.

    Raises:
        SystemExit: always; the status is 0, or 1 for settings that cannot be used, or 3 for a script that cannot be
            served.
    """
    flags.apply(sys.argv[1:], os.environ)
    try:
        options = settings.read(os.environ)
        settings.export(options)
        module_names.install()  # a `logging.json` may name Azure's formatter
        server_log.configure(options)
    except settings.SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(BAD_ARGUMENTS)
    except (OSError, ValueError) as error:
        print(f"logging.json: expected a configuration of Python's logging: {error}", file=sys.stderr)
        sys.exit(BAD_ARGUMENTS)
    print(start_log.text(options), flush=True)
    shadowed.warn(entry_script.folders(options))
    try:
        arbiter = ScriptArbiter(options)
    except settings.SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(BAD_ARGUMENTS)
    except OSError as error:
        address = f"{options.host}:{options.port}"
        print(f"Cannot listen on {address}: {error.strerror}. Give another --host or --port.", file=sys.stderr)
        sys.exit(BAD_ARGUMENTS)
    try:
        arbiter.run()
    finally:
        logging.shutdown()
