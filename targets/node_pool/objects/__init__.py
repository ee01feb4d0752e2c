"""The service's Kubernetes objects, rendered from its settings. Nothing here asks a cluster."""
