"""`python -m engine`."""

import sys

from common.standard_streams import keep_open
from engine.cli.arguments import main

keep_open()
sys.exit(main(sys.argv[1:]))
