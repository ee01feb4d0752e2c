"""The places that the services of one program take: no two of them may want the same name or port."""

from typing import Any
from weakref import WeakKeyDictionary

import pulumi

from settings.errors import Mistake, SettingsError
from settings.schema import Settings, Target

__all__ = ["PLACES", "ProgramPlaces"]


class ProgramPlaces:
    """The names and ports that the services of a program have, each with the component that declares it.

    One process may see several programs: a provider lives from a preview to the update. A program is known by its
    monitor, which is one client of the engine in a Python program, and a client for each component that is constructed.
    """

    def __init__(self) -> None:
        self._holders: WeakKeyDictionary[Any, dict[tuple[str, ...], str]] = WeakKeyDictionary()
        self._constructed: tuple[str, dict[tuple[str, ...], str]] = "", {}

    def begin(self, program: str) -> None:
        """Count the component that is now constructed to a program.

        Args:
            program: What tells it from others: the address of its monitor.
        """
        if self._constructed[0] != program:
            self._constructed = program, {}
        self._holders[pulumi.runtime.settings.get_monitor()] = self._constructed[1]

    def take(self, name: str, settings: Settings) -> None:
        """Take a service's places for the component that declares it; it may take them again.

        Args:
            name: The name of the component `TritonService`.
            settings: The service's settings.

        Raises:
            SettingsError: Another service of the program has some of them: all are told at once.
        """
        holders = self._holders.setdefault(pulumi.runtime.settings.get_monitor(), {})
        mistakes = []
        for path, (value, place) in _places(settings).items():
            if (holder := holders.setdefault(place, name)) != name:
                expected = f"TritonService '{holder}' of this program has the same; choose another {path}"
                mistakes.append(Mistake(path=path, value=f"'{value}'", expected=expected))
        if mistakes:
            raise SettingsError(f"TritonService '{name}'", mistakes)


PLACES = ProgramPlaces()
"""Those of the program that runs."""


def _places(settings: Settings) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Give what no other service may have, by the setting that chooses it: its value, and where it counts."""
    target, name, pool = settings.deployment.target, settings.service_name, settings.node_pool
    if target is Target.NODE_POOL:
        cluster = (pool.cluster_stack or "", pool.context or "", pool.namespace)
        return {"serviceName": (name, (target.value, *cluster, name))}
    # Docker has one engine for all state directories.
    folder = "" if target is Target.DOCKER else settings.state_directory
    ports = {setting: (str(port), ("port", str(port))) for setting, port in settings.deployment.ports.items()}
    return {"serviceName": (name, (target.value, str(folder), name)), **ports}
