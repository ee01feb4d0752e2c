"""What people do with a declared service: see its outputs, status and logs, and try its models beforehand."""
