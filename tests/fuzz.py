"""The profile of `make fuzz`: many random examples, where the tests elsewhere repeat the same ones."""

import os

from hypothesis import settings

settings.register_profile("fuzz", max_examples=int(os.environ.get("EXAMPLES", "1000")), deadline=None, database=None)
