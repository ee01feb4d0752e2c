"""A candidate's share of the traffic at the Envoy of a folder: opened, changed, ended.

    remember(options)                 the front door's own part, when it opens
    Share.open(serving, candidate)    clusters and endpoints of the candidate; it gets nothing yet
    Share.share(weight=10)            routes.json alone
    Share.close(serving)              the routes of before, then the clusters; the candidate gets nothing

Only the routes change where a share does, so no connection is dropped. Whatever a killed process leaves, Envoy serves
by it, also after a restart: the files are complete after every step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from common.atomic_files import write_whole
from gateway import envoy_files, envoy_folder
from gateway.admin import Admin
from gateway.front_door_options import Candidate, Options, Upstreams
from gateway.generation_figures import Snapshot

__all__ = ["Share", "remember"]

OPTIONS_FILE = "options"
_OPTIONS = TypeAdapter(Options)


def remember(directory: Path, options: Options) -> None:
    """Keep the options of a folder's front door: shares of its traffic are rendered from them. They hold no key."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(directory / OPTIONS_FILE, _OPTIONS.dump_json(replace(options, candidate=None), indent=2).decode())


@dataclass(frozen=True)
class Share:
    """The share of one candidate at one Envoy.

    Attributes:
        directory: The folder that Envoy reads.
        admin: Envoy's admin socket.
    """

    directory: Path
    admin: Admin

    @property
    def is_open(self) -> bool:
        """Tell whether the files give a candidate a place."""
        return any(self.directory.glob("endpoints.*-candidate.json"))

    def open(self, serving: Upstreams, candidate: Upstreams) -> bool:
        """Give a candidate its place beside the serving generation: no traffic yet, or the share that it has already.

        Returns:
            False where no front door was ever opened here: nobody sends requests then.

        Raises:
            ValueError: The two have other kinds of servers.
        """
        options = self._options(serving, Candidate(candidate))
        if options is None:
            return False
        files = envoy_files.render(options)
        names = ["clusters.json", *(name for name in files if name.startswith("endpoints."))]
        names += [] if self.is_open else ["routes.json"]
        envoy_folder.replace(self.directory, {name: files[name] for name in names}, self._running())
        return True

    def share(self, serving: Upstreams, candidate: Candidate) -> None:
        """Send the candidate its share; returns once Envoy does so, or at once where Envoy does not run."""
        options = self._options(serving, candidate)
        if options is not None:
            envoy_folder.replace(self.directory, envoy_files.render_routes(options), self._running())

    def close(self, serving: Upstreams) -> None:
        """End the share: the serving generation answers everything. The endpoints of `serving` must be in place.

        Without a share it does something only where `serving` has other servers than Envoy knows, a recorder say.
        """
        options = self._options(serving, None)
        if options is None:
            return
        files = envoy_files.render(options)
        if not self.is_open and envoy_folder.has_clusters_of(self.directory, files):
            return
        ended = {name: files[name] for name in ("routes.json", "clusters.json")}
        envoy_folder.exchange(self.directory, ended, self._running())
        for path in self.directory.glob("endpoints.*.json"):
            if path.name not in files:
                path.unlink()

    def figures(self) -> Snapshot:
        """Read what both generations did since Envoy's start.

        Raises:
            AdminError: Envoy does not answer.
        """
        return self.admin.figures()

    def _options(self, serving: Upstreams, candidate: Candidate | None) -> Options | None:
        try:
            known = _OPTIONS.validate_json((self.directory / OPTIONS_FILE).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return replace(known, upstreams=serving, candidate=candidate)

    def _running(self) -> Admin | None:
        return self.admin if self.admin.is_ready() else None
