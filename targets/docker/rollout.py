"""The gated rollout of the `docker` target.

    start ──► probe ──► gates ──► steps: shares of the traffic ──► all of it ──► drain and remove the old generation
      └─────────┴─────────┴─────────┴──► refused: the old one has all of the traffic, the new one is removed
                                    └──► stays at `canaryTrafficPercent` until a later rollout

The new generation's containers start beside the old one's and are probed from inside. A generation that fails its probe
or a gate never gets traffic. The error says why: in Triton's or the script's own words, or with the figures against
their limits. A rollout that is cancelled ends as one that is refused; once the new generation has all of the traffic it
goes on to its end. Every step can be repeated: the next rollout takes up one that was killed, or takes its share back.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from common.waiting import shielded
from environment.dockerfile import LABELS
from settings.schema import Target
from targets.docker import prover, traffic
from targets.docker.containers import PROBES, Container, digest_of, generation, listening_command, probe_command
from targets.docker.engine import Engine, Found
from targets.docker.failure import explain
from targets.docker.service_folder import Folder, Record
from targets.docker.specification import ServiceSpec
from targets.errors import ServiceError
from targets.machine.candidate import Place, note_no_shares, take_shares, waits
from targets.proving import Proof
from targets.role import Role
from targets.rollout_recorder import Recorder

__all__ = ["apply", "check_owner"]

Progress = Callable[[str], None]
_END_SECONDS = 5.0
_PATIENCE_SECONDS = 15  # with a candidate that is ill although it had the time to start


def apply(spec: ServiceSpec, progress: Progress) -> Record:
    """Bring the service to what `spec` says and give the record of the generation that has the traffic.

    Does nothing where that generation runs already, and starts what is stopped of it. Raises `ServiceError` where the
    name belongs to another stack, where the image does not hold the bundles, or where the new generation does not pass
    its probe within `deadline_seconds`; `Cancelled` where somebody cancels until then.
    """
    folder = Folder.of(spec.state_directory, spec.service_name)
    with folder.locked(), Engine() as engine:
        check_owner(engine, spec.service_name, spec.owner, overwrite=spec.overwrite)
        engine.check_gpus(spec.resources)
        _check_image(engine, spec)
        return _Rollout(spec, folder, engine, progress).run()


def check_owner(engine: Engine, service: str, owner: str, *, overwrite: bool) -> None:
    """Raise `ServiceError` where the engine runs a service of that name for another stack."""
    others = {found.owner for found in engine.containers(service)} - {owner}
    if others and not overwrite:
        raise ServiceError(
            f"serviceName '{service}' is taken on this Docker engine by the stack {', '.join(sorted(others))}; choose "
            "another serviceName, or set deployment.overwrite to true to replace that service"
        )


def _check_image(engine: Engine, spec: ServiceSpec) -> None:
    held = engine.image_labels(spec.image).get(f"{LABELS}.models", "")
    missing = [bundle for bundle in spec.bundles if bundle not in held.split(",")]
    if missing:
        raise ServiceError(
            f"image.reference {spec.image} holds {held or 'no model'}, and models asks for {', '.join(missing)}; name "
            "an image that was built from these models"
        )


class _Rollout:
    def __init__(self, spec: ServiceSpec, folder: Folder, engine: Engine, progress: Progress) -> None:
        self.spec = spec
        self.folder = folder
        self.engine = engine
        self.progress = progress
        self.record = folder.record()
        self.digest = digest_of(spec)
        found = [c for c in engine.containers(spec.service_name, spec.owner) if c.role != Role.FRONT_DOOR]
        self.found = found
        self.old = [c for c in found if (c.owner, c.generation) == self.record.serving]
        self.candidate = [c for c in found if (c.owner, c.generation) == (spec.owner, self.record.candidate)]
        self.foreign = [c for c in found if c.owner != spec.owner and c not in self.old]
        self.leftovers = [c for c in found if c not in self.old and c not in self.foreign]
        self.last_number = max([self.record.generation, *(c.generation for c in found)])

    def run(self) -> Record:
        self._point_back()
        goes_on = self._candidate_goes_on()
        if goes_on:
            self.leftovers = [c for c in self.leftovers if c not in self.candidate]
        else:
            self._take_back()
        self._remove(self.leftovers)
        if self.record.digest == self.digest and self._restored():
            return self.record
        serving, percent = self._serving_address(), self.record.percent
        if serving and waits(self.spec.rollout, percent, self.progress):
            if goes_on and percent is not None:
                self._place(serving, self._address_of(self.record.candidate), self.record.candidate).keep(percent)
            return self.record
        number = self.record.candidate if goes_on else self.last_number + 1
        new = generation(self.spec, number)
        recreate = self.spec.rollout.strategy == "recreate" and bool(self.old)
        recorder = Recorder(
            self.folder.reports,
            service=self.spec.service_name,
            target=Target.DOCKER.value,
            generation=number,
            before=self.record.generation or None,
            progress=self.progress,
        )
        with recorder.recording():
            try:
                if recreate:
                    self.progress(
                        f"stopping generation {self.record.generation} first (rollout.strategy is 'recreate')"
                    )
                    self._stop(self.old)
                if not goes_on:
                    self._start(new)
                    self._prove(new, number, recorder, compare=not recreate)
                if not recreate and self._takes_shares(new, number, recorder):
                    return self.record
            except BaseException:
                with shielded():  # a cancelled rollout ends as a failed one
                    self._take_back()
                    for container in reversed(new):
                        self.engine.remove(container.name)
                    if recreate:
                        self.progress(f"starting generation {self.record.generation} again")
                        with suppress(ServiceError):  # why the new one failed is what has to be told
                            self._revive()
                raise
            with shielded():  # from here on the way forward is the shorter one
                self._switch(new, number, drain=not recreate)
                self._remove(self.old)
                # What another stack deployed served until now (`overwrite`).
                self._remove(self.foreign)
        return self.record

    def _candidate_goes_on(self) -> bool:
        """Tell whether the candidate that a rollout before left at a share is the wanted generation, and is well."""
        record = self.record
        if record.percent is None or record.candidate_digest != self.digest or not self.candidate:
            return False
        if self.spec.rollout.canary_traffic_percent == 0:
            return False
        wanted = generation(self.spec, record.candidate)
        running = {found.name for found in self.candidate if found.running and found.role != Role.RECORDER}
        if {container.name for container in wanted if container.role != Role.RECORDER} != running:
            return False
        try:
            self._await_servers(wanted, _PATIENCE_SECONDS)
        except ServiceError as error:
            self.progress(f"generation {record.candidate} is not well: {error}")
            return False
        return True

    def _takes_shares(self, new: list[Container], number: int, recorder: Recorder) -> bool:
        """Give the new generation shares of the traffic; tells whether it stays at one until a later rollout."""
        serving = self._serving_address()
        if not serving:
            if self.record.generation:
                note_no_shares(self.spec.rollout, self.record.generation, self.progress)
            return False

        def begin(percent: int | None) -> None:
            changed = {"candidate": number, "candidate_digest": self.digest, "percent": percent}
            if percent is not None:
                # Steps may be refused: a service of another stack (`overwrite`) stays that one's until they passed.
                owner, _ = self.record.serving
                changed |= {"owner": self.spec.owner, "serving_owner": "" if owner == self.spec.owner else owner}
            self._record(**changed)

        return take_shares(
            self.spec.rollout,
            self._place(serving, self._address(new[0].name), number),
            old=self.record.generation,
            new=number,
            begin=begin,
            progress=self.progress,
            recorder=recorder,
        )

    def _take_back(self) -> None:
        """End the share of a candidate, if one has any: the recorded generation has all of the traffic again."""
        number, serving = self.record.candidate, self._serving_address()
        if not number:
            return
        if serving:
            candidate = self._address_of(number)
            # Where the candidate's containers are gone, nobody has a request there.
            seconds = self.spec.rollout.drain_seconds if candidate else 0
            self._place(serving, candidate or serving, number).withdraw(seconds)
            old = self.record.generation
            self.progress(f"generation {number} has no share of the traffic any more: {old} has it all")
        self._record(candidate=0, candidate_digest="", percent=None)

    def _place(self, serving: str, candidate: str, number: int) -> Place:
        # A candidate that has a share has the servers of the old generation, whatever the settings are by now.
        candidate_shape = self._shape if self.record.candidate else self.spec.shape
        return Place(
            traffic.share(self.folder),
            traffic.upstreams(self._shape, serving, self.record.generation),
            traffic.upstreams(candidate_shape, candidate, number),
        )

    def _address_of(self, number: int) -> str:
        """The address of a generation, under whatever name of the service it started; "" where it does not run."""
        own = self.engine.find(f"{self.spec.service_name}-{number}-{Role.NETWORK}")
        others = (c for c in self.found if c.role == Role.NETWORK and c.generation == number)
        return next((c.address for c in [own, *others] if c is not None and c.address), "")

    @property
    def _shape(self) -> list[Role | None]:
        """The servers of the generation that has the traffic."""
        return [c.role for c in self.old if c.role in PROBES or c.role == Role.RECORDER]

    def _serving_address(self) -> str:
        """The address of the recorded generation; "" where it does not run."""
        return next((c.address for c in self.old if c.role == Role.NETWORK and c.running and c.address), "")

    def _record(self, **changed: Any) -> None:
        self.record = self.record.model_copy(update=changed)
        self.folder.write_record(self.record)

    def _point_back(self) -> None:
        """Send the traffic to the recorded generation: a killed rollout may have sent it to what is removed next."""
        serving = self._serving_address()
        if serving and self.leftovers:
            traffic.send_to(self.folder, traffic.upstreams(self._shape, serving, self.record.generation))

    def _start(self, containers: list[Container]) -> None:
        """Start a generation and wait until each of its containers passed its probe, within one deadline."""
        self.progress(f"starting {', '.join(container.name for container in containers)}")
        started = time.monotonic()
        for container in containers:
            self.engine.start(container)
        for container in containers:
            # A golden answer has the time that the front door gives to a request.
            self._await_ready(container, started + self.spec.rollout.deadline_seconds, self.spec.limits.scoring_seconds)
        for container in containers:
            self.engine.keep_running(container.name)
        self.progress(f"ready after {time.monotonic() - started:.1f} s")

    def _prove(self, new: list[Container], number: int, recorder: Recorder, *, compare: bool) -> None:
        """Let the new generation pass the gates, beside the one that has the traffic where there is one."""
        rollout = self.spec.rollout
        if rollout.replay is None and rollout.performance is None:
            return
        serving, old = self._serving_address(), None
        if compare and serving:
            names = {c.role: c.name for c in self.old if c.role is not None}
            old = prover.side(self.engine, self.record.generation, serving, names)
        names = {container.role: container.name for container in new}
        Proof(
            rollout=rollout,
            service_name=self.spec.service_name,
            variables=self.spec.variables,
            new=prover.side(self.engine, number, self._address(new[0].name), names),
            old=old,
            front_door_metrics=prover.front_door_metrics(self.engine, self.spec),
            run=prover.runner(self.engine, self.spec, number, self.folder.root / "prover"),
            progress=self.progress,
            record=recorder.prove,
            records=self.spec.recorded_megabytes is not None,
        ).judge()

    def _await_servers(self, containers: list[Container], seconds: float) -> None:
        """Wait for a generation that served before, of each server so long; its recorder decides nothing."""
        for container in containers:
            if container.role != Role.RECORDER:
                self._await_ready(container, time.monotonic() + seconds)

    def _await_ready(self, container: Container, deadline: float, timeout: float = 0) -> None:
        if container.role == Role.NETWORK:
            return
        seconds = max(1.0, deadline - time.monotonic())
        if container.role == Role.RECORDER:
            command = listening_command(seconds)
        else:
            command = probe_command(container.role, wait=seconds, timeout=timeout)
        try:
            code, said = self.engine.run(container.name, command, seconds)
        except ServiceError as error:  # it ended before anything could be asked
            code, said = None, str(error)
        if code == 0:
            return
        if not said:  # the probe was cut off, as by the end of the container that it ran in
            self.engine.await_end(container.name, _END_SECONDS)
        if code is not None and time.monotonic() > deadline - 1:
            said = f"not ready within {self.spec.rollout.deadline_seconds} s: {said}"
        raise ServiceError(explain(self.engine, container, said, self.folder.logs))

    def _switch(self, new: list[Container], number: int, *, drain: bool) -> None:
        serving = traffic.upstreams(self.spec.shape, self._address(new[0].name), number)
        before = next((c.address for c in self.old if c.role == Role.NETWORK), "")
        old = traffic.upstreams(self._shape, before, self.record.generation) if before and self._shape else None
        draining = old if drain else None
        send_to_new = partial(traffic.send_to, self.folder, serving, draining=draining)
        if old is not None and self.record.candidate == number:
            Place(traffic.share(self.folder), old, serving).promote(send_to_new)
        else:
            send_to_new()
            traffic.share(self.folder).close(serving)
        changed = {"owner": self.spec.owner, "serving_owner": "", "generation": number, "digest": self.digest}
        self._record(**changed, candidate=0, candidate_digest="", percent=None)
        self.progress(f"generation {number} has the traffic")
        if draining is not None and not traffic.await_idle(self.folder, draining, self.spec.rollout.drain_seconds):
            self.progress(f"the generation before has requests left after {self.spec.rollout.drain_seconds} s")
        traffic.send_to(self.folder, serving, stopped=old)

    def _restored(self) -> bool:
        """Make the recorded generation run as it should; false where containers of it are gone or do not come back."""
        wanted = generation(self.spec, self.record.generation)
        if {container.name for container in wanted} != {found.name for found in self.old}:
            return False
        try:
            self._revive()
            self._await_servers(wanted, self.spec.rollout.deadline_seconds)
        except ServiceError as error:
            self.progress(f"generation {self.record.generation} did not come back: {error}")
            return False
        return True

    def _revive(self) -> None:
        """Start what does not run of the old generation, or runs in a network namespace that is no longer its own.

        Gives it the traffic once it is ready, or as it is after the deadline: nobody else could have it.
        """
        here = [found for c in self.old if (found := self.engine.find(c.name)) is not None]
        by_role = {found.role: found for found in here if found.role is not None}
        holder = by_role.pop(Role.NETWORK, None)
        if holder is None:
            raise ServiceError(f"the container that holds the network of generation {self.record.generation} is gone")
        if not holder.running:
            self.engine.restart(holder.name)
            holder = self.engine.find(holder.name) or holder
        for container in sorted(by_role.values(), key=lambda c: -c.stop_rank):
            if not container.running or container.started < holder.started:
                self.progress(f"restarting {container.name}")
                self.engine.restart(container.name)
        for role, container in by_role.items():
            seconds = self.spec.rollout.deadline_seconds
            if role in PROBES:
                self.engine.run(container.name, probe_command(role, wait=seconds), seconds)
        serving = traffic.upstreams(tuple(by_role), self._address(holder.name), self.record.generation)
        traffic.send_to(self.folder, serving)
        traffic.share(self.folder).close(serving)  # of a candidate that was beside it when it stopped

    def _address(self, name: str) -> str:
        found = self.engine.find(name)
        if found is None or not found.address:
            raise ServiceError(f"container {name} has no address in the network {self.spec.network}")
        return found.address

    def _stop(self, containers: list[Found]) -> None:
        for container in sorted(containers, key=lambda c: c.stop_rank):
            self.engine.stop(container.name)

    def _remove(self, containers: list[Found]) -> None:
        for container in sorted(containers, key=lambda c: c.stop_rank):
            self.engine.remove(container.name)
