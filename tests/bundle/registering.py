"""Registers the bundle in a folder, in a process of its own: python registering.py REGISTRY FOLDER [stop]

With `stop` it stops itself after the files were staged and before the version is there, until it is killed.
"""

import os
import signal
import sys
from pathlib import Path

from bundle.directory_store import DirectoryStore
from bundle.layout import check_layout
from bundle.registry import Registry


def stop_before_commit() -> None:
    def next_version(store: DirectoryStore, name: str) -> int:
        print("staged", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        raise AssertionError("it was continued")

    DirectoryStore.next_version = next_version  # type: ignore[assignment,method-assign]


if __name__ == "__main__":
    registry, folder, *stop = sys.argv[1:]
    if stop:
        stop_before_commit()
    print(Registry(registry).register("m", check_layout(Path(folder), target="process")).model_id, flush=True)
