"""The `process` target: Triton, the entry script's workers and Envoy as supervised processes of one machine."""
