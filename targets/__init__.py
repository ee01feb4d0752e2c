"""Where a service runs: processes, containers, a cluster's pods. No target knows another, and none knows Pulumi."""
