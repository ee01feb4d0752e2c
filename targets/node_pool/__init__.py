"""The service on a Kubernetes node pool: its objects rendered from settings, and what a failed one means. No Pulumi."""
