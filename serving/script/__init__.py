"""The entry script: its import, its calls and its answers."""
