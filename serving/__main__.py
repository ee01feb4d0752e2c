"""The command `python -m serving`: puts the import path in order, then runs `serving.main`.

`serving.script.search_path` comes first, so that no later import finds a module of the script's by mistake.
"""

from __future__ import annotations

import os

from serving.script import search_path


def start() -> None:
    """Put the import path in order, then serve."""
    search_path.put_script_last(os.environ)
    from serving.main import main

    main()


if __name__ == "__main__":
    start()
