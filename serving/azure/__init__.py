"""The modules that entry scripts import by Azure's names."""
