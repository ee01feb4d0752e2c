"""Record requests: `python -m serving.recording --port 8003` takes the copies that the front door sends.

    client ──► Envoy ──► Triton
                 └ ─ copy of a sample ─ ► intake ──► writer ──► <COLLECT_URL>/requests/<SERVICE_NAME>/date=.../...

Nobody waits for it: where it is slow, full or gone, Envoy drops the copies. Its settings are data collection's
variables (`serving.settings`), but for the sample, which Envoy takes. It ends with SIGTERM, and writes first what it
has.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys

import uvloop

from serving import settings
from serving.flags import BAD_ARGUMENTS
from serving.recording.intake import Intake
from serving.recording.writer import Writer
from serving.settings import SettingsError

_VARIABLES = ("AML_APP_ROOT", "AZUREML_LOG_LEVEL", "SERVICE_NAME", "SERVICE_VERSION")
_LARGEST_PART = 16
_LARGEST = 8 << 20
"""A request may have this part of the limit of all files, and so many bytes: the recorder's memory is bounded."""
_STOP_SECONDS = 10


def main() -> int:
    """Take and write copies until a signal says stop."""
    arguments = _arguments()
    read = {name: text for name, text in os.environ.items() if name in _VARIABLES or name.startswith("COLLECT_")}
    try:
        options = settings.read(read)
        if options.collection is None:
            raise SettingsError(["COLLECT_URL: is not set; the recorder writes there"])
        max_bytes = arguments.megabytes << 20
        writer = Writer(options, options.collection, max_bytes)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return BAD_ARGUMENTS
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(message)s")
    loop = uvloop.new_event_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, loop.stop)
    intake = Intake(writer, min(max_bytes // _LARGEST_PART, _LARGEST))
    try:
        server = loop.run_until_complete(loop.create_server(intake.connection, arguments.host, arguments.port))
    except OSError as error:
        print(f"cannot listen on {arguments.host}:{arguments.port}: {error.strerror}", file=sys.stderr)
        return BAD_ARGUMENTS
    writer.start()
    loop.run_forever()
    server.close()
    writer.stop(_STOP_SECONDS)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="serving.recording", description="Record copied requests.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--megabytes", type=int, default=100, help="the limit of all files together")
    return parser.parse_args()


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # a store's thread may hang
