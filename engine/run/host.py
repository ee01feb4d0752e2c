"""What the operations of one command share: the processes of providers and of the program, and where they log to."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from engine.errors import EngineError
from engine.providers.children import Children
from engine.providers.plugins import Plugins
from engine.run.goals import Reporter
from engine.run.launcher import Launcher
from engine.run.monitor import LogService, Server
from engine.run.relay import Relay
from engine.state.project import Project


class Host:
    """Keeps processes from one operation to the next: an update goes on with the providers of its preview.

    Where the program's `launcher` runs already, the project's own providers start at once, too, before anybody asks for
    them.
    """

    def __init__(
        self,
        children: Children,
        project: Project,
        environment: Mapping[str, str],
        relay: Relay,
        launcher: Launcher | None = None,
    ) -> None:
        self._children = children
        self._project = project
        self._environment = dict(environment)
        self._relay = relay
        self._launcher = launcher
        self.log = LogService(relay)
        self._server = Server(self.log)
        self.address = self._server.address
        self.plugins = Plugins(
            children, project.folder, project.provider_folders, self._environment, self.address, relay.line
        )
        for package in project.provider_folders if launcher else ():
            with suppress(EngineError):  # who needs the provider tells of it
                self.plugins.prestart(package)

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self._relay.close()
        self._children.stop()
        if self._launcher is not None:
            self._launcher.close()
        self._server.stop()

    def attach(self, reporter: Reporter) -> None:
        """Have the reporter told what the processes say; what they said before waits for it."""
        self._relay.attach(reporter)

    @property
    def launcher(self) -> Launcher:
        """What runs the program, started on first need."""
        if self._launcher is None:
            self._launcher = Launcher(self._children, self._project, self._environment, self._relay.line)
        return self._launcher

    def stop(self) -> None:
        """End all processes, in order."""
        self._children.stop()

    def kill(self) -> None:
        """Kill all processes at once."""
        self._children.kill()
