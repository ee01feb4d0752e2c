"""Start the provider: Pulumi's engines run this file with their own address as its argument."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # the project, in place of this folder

    from provider.server import main

    main(sys.argv[1])
