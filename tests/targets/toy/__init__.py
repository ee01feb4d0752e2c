"""Target `toy`: one process serves what it read into memory. A test puts this folder into targets/."""
