"""The front process and the master: the port, health, metrics, and the workers' supervision."""
