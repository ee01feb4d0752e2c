"""The `docker` target: Triton, the entry script server and Envoy as containers of this machine's Docker engine."""
