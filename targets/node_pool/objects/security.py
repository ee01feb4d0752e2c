"""The security context of every pod: Kubernetes' `restricted` profile and a read-only root."""

from typing import Any

__all__ = ["container_security", "pod_security"]


def pod_security(user: int) -> dict[str, Any]:
    """Render a pod's security context: a numeric user that is not root, and the runtime's system call filter."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """Render a container's security context."""
    return {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
