"""The command `python -m serving`. See `main`; what is imported before it must find no module of the script's."""

from __future__ import annotations

import os

from serving.script import search_path


def start() -> None:
    """Put the path in order, then serve."""
    search_path.put_script_last(os.environ)
    from serving.main import main

    main()


if __name__ == "__main__":
    start()
