"""The entry script: found, imported, called, and its answers."""
