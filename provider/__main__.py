"""Start the provider: Pulumi's engines run this file with their own address as its argument."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # the project, in place of this folder

    from importlib import import_module

    from provider.server import main

    # Most engines ask for resources alone: the components and Pulumi's SDK for them are imported when one is asked for.
    main(sys.argv[1], components=lambda: import_module("components.construct"))
