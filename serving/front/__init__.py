"""The master, which supervises the workers, and the front process: the port, health and metrics."""
