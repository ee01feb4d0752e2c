"""The entry script server: runs a `score.py` of Azure ML's convention, `init()` and `run()`, behind HTTP."""

__version__ = "0.1.0"
