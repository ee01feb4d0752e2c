"""Azure's names for what entry scripts import."""
