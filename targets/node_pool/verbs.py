"""The verbs of target `node-pool`; each imports what it needs when it runs, the cluster's library last."""

from pathlib import Path

from rich.console import Console

from settings.schema import Target
from targets.contract import Stack, Verbs
from targets.errors import ServiceError

__all__ = ["VERBS"]


class _NodePoolVerbs(Verbs):
    target = Target.NODE_POOL

    def reports(self, stack: Stack) -> Path:
        from targets.node_pool.reports_folder import reports_folder

        return reports_folder(stack.settings)

    def check(self, stack: Stack, console: Console) -> int:
        raise ServiceError("check serves models on this machine: give it a stack of target 'process' or 'docker'")


VERBS = _NodePoolVerbs()
