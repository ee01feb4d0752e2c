"""Where the records and reports of a node pool's rollouts are, on the machine that runs `up`."""

from pathlib import Path

from settings.schema import Settings
from targets.node_pool.object_names import Names

__all__ = ["reports_folder"]


def reports_folder(settings: Settings) -> Path:
    """Give the folder of a service's reports: a namespace's name is part of it, as of the service's own place."""
    names = Names.of_settings(settings)
    return Path(settings.state_directory).resolve() / "node-pool" / names.namespace / names.service / "reports"
