"""Measurements: what they need is in requirements.txt, how to run them in README.md. The program uses none of this."""
