"""The cluster that a service runs in: what is asked of it, and what its answers mean."""
