"""The gated rollout of the `process` target.

    start ──► probe ──► gates ──► steps: shares of the traffic ──► all of it ──► drain and stop the old generation
      └─────────┴─────────┴─────────┴──► refused: the old one has all of the traffic, the new one is removed
                                    └──► stays at `canaryTrafficPercent` until a later rollout

The new generation starts beside the old one. One that fails its probe or a gate never gets traffic. The error says why:
in Triton's or the script's own words, or with the figures against their limits. A rollout that is cancelled ends as one
that is refused; once the new generation has all of the traffic it goes on to its end. Every step can be repeated: the
next rollout takes up one that was killed, or takes its share back.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from common.atomic_files import write_whole
from common.waiting import shielded
from environment.source_folder import copy_source
from settings.schema import Target
from targets.errors import ServiceError
from targets.machine.candidate import Place, note_no_shares, take_shares, waits
from targets.machine.ports import free_ports, is_listening
from targets.process import front_door, laid_out_models, programs, prover, traffic
from targets.process.generation_probe import GenerationProbe, probe_file, probe_questions
from targets.process.service_folder import Generation, Record, ServiceDirectory
from targets.process.specification import ServiceSpec
from targets.process.supervisor import Supervisor
from targets.proving import Proof, Servers, Side
from targets.role import Role
from targets.rollout_recorder import Recorder

__all__ = ["apply"]

Progress = Callable[[str], None]
LOGS_KEPT = 20
PATIENCE_SECONDS = 15  # with one that is ill although it had the time to start


def apply(spec: ServiceSpec, progress: Progress) -> Generation:
    """Bring the service to what `spec` says and give the generation that has the traffic.

    Does nothing where that generation runs already. Raises `ServiceError` where the name belongs to another stack, or
    where the new generation does not pass its probe within `deadline_seconds`; `Cancelled` where somebody cancels until
    then.
    """
    directory = ServiceDirectory.of(spec.state_directory, spec.service_name)
    with directory.locked():
        record = directory.claim(spec.owner, overwrite=spec.overwrite)
        rollout = _Rollout(spec, directory, record, progress)
        try:
            return rollout.run()
        except BaseException:
            if rollout.record.current is None:  # a first deployment that failed leaves nothing to destroy
                rollout.supervisor.stop()
                directory.remove()
            raise


class _Rollout:
    def __init__(self, spec: ServiceSpec, directory: ServiceDirectory, record: Record, progress: Progress) -> None:
        self.spec = spec
        self.directory = directory
        self.record = record
        self.progress = progress
        self.supervisor = Supervisor(directory)

    def run(self) -> Generation:
        moved = self.record.root not in ("", str(self.directory.root))
        if moved:
            self.progress(f"the folder was {self.record.root} before: the service starts anew in {self.directory.root}")
        restarted = self.supervisor.start(keep="" if moved else front_door.PROGRAM)
        old = self.record.current
        if moved or (old is not None and not self.directory.generation(old.number).is_dir()):
            old = None  # its files are gone, or name other files by paths of before
        unchanged = old is not None and old.digest == self.spec.digest
        healthy = old is not None and (not (restarted or unchanged) or self._comes_back(old, restarted=restarted))
        serves = healthy or (old is not None and not restarted)  # one that is ill may still serve in part
        if old is not None:
            # A rollout that was killed may have sent the traffic elsewhere, to what is removed next.
            traffic.send_to(self.directory, old)
        candidate = self._candidate(old, restarted=restarted) if not unchanged else None
        if candidate is None:
            self._take_back(old)
        self._remove_leftovers(keep=(old, candidate))
        percent = self.record.percent
        if old is not None and healthy and (unchanged or waits(self.spec.rollout, percent, self.progress)):
            if candidate is not None and percent is not None:
                self._place(old, candidate).keep(percent)
            return self._record(old, candidate=candidate, percent=percent)

        new, surge = candidate, self.spec.rollout.strategy == "surge"
        recorder = Recorder(
            self.directory.reports,
            service=self.spec.service_name,
            target=Target.PROCESS.value,
            generation=new.number if new else self.record.next_number,
            before=old.number if old else None,
            progress=self.progress,
        )
        with recorder.recording():
            try:
                if new is None:
                    new = self._prepare(old if serves else None)
                    if old is not None and serves and not surge:
                        self.progress(f"stopping generation {old.number} first (rollout.strategy is 'recreate')")
                        self._stop(old)
                    self._start(new)
                    self._await_ready(new, is_new=True)
                    self._prove(new, recorder, beside=old if healthy and surge else None)
                if old is not None and not healthy:
                    note_no_shares(self.spec.rollout, old.number, self.progress)
                elif old is not None and self._takes_shares(old, new, recorder):
                    return old
            except BaseException:
                with shielded():  # a cancelled rollout ends as a failed one
                    if new is not None:
                        self._take_back(old)
                        self._remove(new)
                    if old is not None:
                        self._leave(old, healthy=healthy)
                raise
            with shielded():  # from here on the way forward is the shorter one
                self._switch(old, new, serves=serves)
        self._prune_logs()
        return new

    def _candidate(self, old: Generation | None, *, restarted: bool) -> Generation | None:
        """Give the generation that a rollout before left at a share of the traffic, where it is to go on."""
        found, percent = self.record.candidate, self.record.percent
        if found is None or old is None or percent is None or not self.directory.generation(found.number).is_dir():
            return None
        wanted = found.digest == self.spec.digest and self.spec.rollout.canary_traffic_percent != 0
        return found if wanted and self._comes_back(found, restarted=restarted) else None

    def _takes_shares(self, old: Generation, new: Generation, recorder: Recorder) -> bool:
        """Give the new generation shares of the traffic; tells whether it stays at one until a later rollout."""

        def begin(percent: int | None) -> None:
            if percent is not None:
                self._record(old, candidate=new, percent=percent)
            else:  # steps may be refused: a service of another stack (`overwrite`) stays that one's until they passed
                self._write(candidate=new, percent=None)

        return take_shares(
            self.spec.rollout,
            self._place(old, new),
            old=old.number,
            new=new.number,
            begin=begin,
            progress=self.progress,
            recorder=recorder,
        )

    def _take_back(self, old: Generation | None) -> None:
        """End the share of a candidate, if one has any: the generation `old` has all of the traffic again."""
        candidate = self.record.candidate
        if candidate is None:
            return
        if old is not None:
            self._place(old, candidate).withdraw(self.spec.rollout.drain_seconds)
            self.progress(
                f"generation {candidate.number} has no share of the traffic any more: {old.number} has it all"
            )
        self._write(candidate=None, percent=None)

    def _place(self, old: Generation, new: Generation) -> Place:
        return Place(traffic.share(self.directory), traffic.upstreams(old), traffic.upstreams(new))

    def _prove(self, new: Generation, recorder: Recorder, *, beside: Generation | None) -> None:
        """Let the new generation pass the gates, beside the one that has the traffic."""
        port = self.record.stats_port if traffic.admin(self.directory).is_ready() else None
        launch = programs.prover(self.spec, directory=self.directory.generation(new.number))
        Proof(
            rollout=self.spec.rollout,
            service_name=self.spec.service_name,
            variables=self.spec.variables,
            new=self._side(new),
            old=self._side(beside) if beside else None,
            front_door_metrics=f"http://127.0.0.1:{port}/stats/prometheus" if port else None,
            run=partial(prover.run, launch, self._log(f"prover-{new.number}")),
            progress=self.progress,
            record=recorder.prove,
            records=self.spec.recorded_megabytes is not None,
        ).judge()

    def _side(self, generation: Generation) -> Side:
        questions = probe_questions(self.directory, generation)
        urls = {role: (questions.get(role) or {}).get("url") for role in ("scorer", "triton")}
        return Side(generation.number, Servers(**urls), questions)

    def _switch(self, old: Generation | None, new: Generation, *, serves: bool) -> None:
        """Send the traffic to the new generation, and remove the old one once its requests are answered."""
        surge = old if serves and self.spec.rollout.strategy == "surge" else None
        send_to_new = partial(traffic.send_to, self.directory, new, draining=surge)
        if old is not None and self.record.candidate == new:
            self._place(old, new).promote(send_to_new)
        else:
            send_to_new()
            traffic.share(self.directory).close(traffic.upstreams(new))
        self._record(new)
        self.progress(f"generation {new.number} has the traffic")
        if surge is not None and not traffic.await_idle(self.directory, surge, self.spec.rollout.drain_seconds):
            self.progress(f"generation {surge.number} has requests left after {self.spec.rollout.drain_seconds} s")
        traffic.send_to(self.directory, new, stopped=old)
        if old is not None:
            self._remove(old)

    def _record(
        self, current: Generation, *, candidate: Generation | None = None, percent: int | None = None
    ) -> Generation:
        """Write down what has the traffic, and whose it is by that."""
        changed = {"current": current, "owner": self.spec.owner, "root": str(self.directory.root)}
        self._write(**changed, candidate=candidate, percent=percent)
        return current

    def _write(self, **changed: Any) -> None:
        self.record = self.record.model_copy(update=changed)
        self.directory.write_record(self.record)

    def _comes_back(self, old: Generation, *, restarted: bool) -> bool:
        """Start what does not run of the old generation: all of it after a reboot or a killed supervisor.

        One that then does not come back is stopped, so that its ports and its GPU are free for another.
        """
        if restarted:
            self.progress(f"the supervisor was not running: starting generation {old.number} again")
            if any(is_listening(port) for port in old.ports):
                self.progress(f"generation {old.number} cannot start: another process listens on its ports")
                return False
        try:
            if restarted and old.digest == self.spec.digest:
                laid_out_models.lay_out(self.spec, self.directory.generation(old.number))
            self._start(old)
            self._await_ready(
                old,
                max(PATIENCE_SECONDS, self.spec.rollout.deadline_seconds - self._age(old)),
                told=None if restarted else "serves",
            )
        except ServiceError as error:
            self.progress(f"generation {old.number} did not come back: {error}")
            if restarted:
                self._stop(old)
            return False
        return True

    def _leave(self, old: Generation, *, healthy: bool) -> None:
        """Leave the old generation to the supervisor, which goes on trying with one that did not come back."""
        try:
            self._start(old)
            if healthy:
                self._await_ready(old, told="serves on")
        except ServiceError as error:
            self.progress(f"generation {old.number} did not come back: {error}")

    def _prepare(self, beside: Generation | None) -> Generation:
        """Write the files of the new generation, which starts `beside` another one on ports of its own.

        Its number is spent even if nothing comes of it.
        """
        number = self.record.next_number
        self._write(next_number=number + 1)

        spec = self.spec
        last = self.record.current if beside is None else None
        with_triton, with_script = bool(spec.triton_bundles), spec.entry_script is not None
        with_recorder = with_triton and spec.recorded_megabytes is not None
        remembered = (last.triton_http, last.triton_grpc, last.triton_metrics, last.scorer) if last else ()
        ports = free_ports(3 * with_triton + with_script + with_recorder, preferred=remembered)
        generation = Generation(number=number, digest=spec.digest)
        if with_triton:
            http, grpc, metrics = (ports.pop(0) for _ in range(3))
            generation = generation.model_copy(
                update={"triton_http": http, "triton_grpc": grpc, "triton_metrics": metrics}
            )
        if with_script:
            generation = generation.model_copy(update={"scorer": ports.pop(0)})
        if with_recorder:
            generation = generation.model_copy(update={"recorder": ports.pop(0)})

        folder = self.directory.generation(number)
        folder.mkdir(parents=True)
        self.progress(f"copying {', '.join(f'{b.name}:{b.version}' for b in spec.bundles)} to generation {number}")
        try:
            served = laid_out_models.lay_out(spec, folder)
        except BaseException:
            self.directory.remove_generation(number)
            raise
        if with_triton:
            launch = programs.triton(
                served, generation, directory=folder, shared_memory=self.directory.shared_memory(number)
            )
            write_whole(folder / f"{Role.TRITON}.json", launch.to_json(), mode=0o600)
        if spec.entry_script is not None:
            copy_source(spec.entry_script.source_directory, folder / "source")
            launch = programs.scorer(
                spec,
                generation,
                source_directory=folder / "source",
                model_directory=laid_out_models.model_directory(spec, folder),
                probe=folder / "probe.json",
            )
            write_whole(folder / f"{Role.SCORER}.json", launch.to_json(), mode=0o600)
        if with_recorder:
            launch = programs.recorder(spec, generation, directory=folder, source_directory=folder / "source")
            write_whole(folder / f"{Role.RECORDER}.json", launch.to_json(), mode=0o600)
        write_whole(folder / "probe.json", probe_file(spec, generation), mode=0o600)
        return generation

    def _start(self, generation: Generation) -> None:
        """Start what does not run of a generation."""
        folder = self.directory.generation(generation.number)
        known = self.supervisor.processes()
        if missing := [name for name in generation.programs if name not in known]:
            self.progress(f"starting generation {generation.number}: {', '.join(missing)}")
        for name in generation.programs:
            if name in known:
                self.supervisor.restart(name)
            else:
                launch = folder / f"{name.rpartition('-')[0]}.json"
                self.supervisor.add(
                    name, launch, log=self._log(name), stop_seconds=programs.Launch.stop_seconds_in(launch)
                )

    def _age(self, generation: Generation) -> int:
        """For how many seconds all servers of a generation have run."""
        processes = self.supervisor.processes()
        return min((processes[name].seconds for name in generation.servers if name in processes), default=0)

    def _await_ready(
        self, generation: Generation, seconds: float | None = None, *, is_new: bool = False, told: str | None = None
    ) -> None:
        """Wait until a generation is ready, and tell how long it took, or in other words that it is."""
        probe = GenerationProbe(self.supervisor, generation, self.directory, log=self._log)
        started = time.monotonic()
        seconds = seconds or self.spec.rollout.deadline_seconds
        probe.wait(seconds, self.progress, self.spec.limits.scoring_seconds, is_new=is_new)
        told = told or f"is ready after {time.monotonic() - started:.1f} s"
        self.progress(f"generation {generation.number} {told}")

    def _stop(self, generation: Generation) -> None:
        # The scorer first: one idle connection of a client makes Triton wait for its whole exit timeout.
        for name in reversed(generation.programs):
            self.supervisor.remove(name)

    def _remove(self, generation: Generation) -> None:
        self._stop(generation)
        self.directory.remove_generation(generation.number)

    def _remove_leftovers(self, *, keep: tuple[Generation | None, ...]) -> None:
        """Remove what a killed rollout left: programs and folders of generations without traffic."""
        kept = {name for generation in keep if generation for name in generation.programs}
        for name in sorted(self.supervisor.processes()):
            if name.startswith((f"{Role.TRITON}-", f"{Role.SCORER}-", f"{Role.RECORDER}-")) and name not in kept:
                self.supervisor.remove(name)
        for number in self.directory.generation_numbers():
            if number not in {generation.number for generation in keep if generation}:
                self.directory.remove_generation(number)

    def _log(self, program: str) -> Path:
        return self.directory.logs / f"{program}.log"

    def _prune_logs(self) -> None:
        logs = sorted(self.directory.logs.glob("*-*.log*"), key=lambda path: path.stat().st_mtime)
        for log in logs[:-LOGS_KEPT]:
            log.unlink()
