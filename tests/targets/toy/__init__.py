"""Target `toy`: one process serves what it read into memory. The test of a fourth target puts this folder into targets/."""
