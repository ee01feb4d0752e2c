"""The command `python -m serving`. See `main`; what is imported before it must find no module of the script's."""

from __future__ import annotations

import os

from serving.script import paths


def start() -> None:
    """Put the path in order, then serve."""
    paths.put_script_last(os.environ)
    from serving.main import main

    main()


if __name__ == "__main__":
    start()
