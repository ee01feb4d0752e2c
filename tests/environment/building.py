"""Builds an environment in a process of its own: python building.py ROOT SERVING [STOP_AT]

Prints each line of progress, and at the end where the environment is. With STOP_AT it stays at the first line that
starts so, until it is killed.
"""

import signal
import sys
from pathlib import Path

from environment.curated_clone import Environment
from environment.venv import build


def main(root: str, serving: str, stop_at: str | None = None) -> None:
    def progress(line: str) -> None:
        print(line, flush=True)
        if stop_at and line.startswith(stop_at):
            signal.pause()

    built = build(
        Environment.get("AzureML-Triton"), root=Path(root), serving=Path(serving), triton=False, progress=progress
    )
    print(f"built {built.path}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
