"""`python -m engine`."""

import sys

from engine.cli.arguments import main

sys.exit(main(sys.argv[1:]))
