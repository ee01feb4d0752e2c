"""Who deploys, and from what: the user and the machine, and the project's commit where Git keeps it."""

import getpass
import os
import socket
import subprocess
from pathlib import Path

__all__ = ["branch_of", "commit_of", "deployer"]

_SECONDS = 10
_SHOWN = 12  # digits of a commit


def deployer() -> str:
    """Name who deploys, as `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number alone
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def commit_of(project: Path) -> str:
    """Give a project's commit, with `+` where tracked files differ from it; "" where Git does not keep the project."""
    commit = _git(project, "rev-parse", f"--short={_SHOWN}", "HEAD")
    if not commit:
        return ""
    return commit + ("+" if _git(project, "status", "--porcelain", "--untracked-files=no") else "")


def branch_of(project: Path) -> str:
    """Give the branch that a project is on; "" where there is none, as in a checkout of a commit."""
    return _git(project, "symbolic-ref", "--quiet", "--short", "HEAD")


def _git(project: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(project), *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
