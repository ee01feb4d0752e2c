"""Kills the engine at random moments: `python -m tests.engine.soak --kills 100` (`--seed` repeats a run).

Its programs have dependencies, components, aliases and secrets, and objects vanish meanwhile. After every kill the
state must be whole and no process left; every update that is let to its end must succeed, and leave exactly the objects
that the state names, as the program wants them.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from engine.state.checkpoint import read_deployment
from engine.state.crypto import Crypter
from tests.engine.conftest import PASSPHRASE, TOKEN, Stack
from tests.waiting import eventually

Goal = dict[str, dict[str, Any]]


def _goal(rng: random.Random) -> Goal:
    """Some things that depend on each other, of random names, kinds and values, and a component with two more."""
    goal: Goal = {}
    for letter in sorted(rng.sample("abcdefgh", 5)):
        names = list(goal)
        goal.update(
            _renamed(
                rng,
                letter,
                {
                    **_thing(rng),
                    "after": names[max(0, len(names) - 2) :: 2],
                    "delete_before_replace": rng.random() < 0.5,
                    "secret": rng.random() < 0.5,
                    "hide": ["token"],  # for a refresh cannot know that what a killed update left is secret
                },
            )
        )
    return goal | _renamed(rng, "k", {"members": {member: _thing(rng) for member in "mn"}})


def _thing(rng: random.Random) -> dict[str, Any]:
    return {"kind": rng.choice("xyz"), "value": rng.randrange(3), "slow": 0.1}


def _renamed(rng: random.Random, letter: str, entry: dict[str, Any]) -> Goal:
    """The entry under one of two names, the other being its alias."""
    name, alias = rng.sample([letter, f"{letter}2"], 2)
    return {name: {**entry, "aliases": [alias]}}


def _things(goal: Goal) -> Goal:
    """The goal's things, by name, those of components too."""
    return {
        (f"{name}-{member}" if member else name): thing
        for name, entry in goal.items()
        for member, thing in entry.get("members", {"": entry}).items()
    }


class KillLoop:
    """Kills runs on one stack until there have been `kills`, and counts what it met."""

    def __init__(self, stack: Stack, crypter: Crypter, kills: int, seed: int) -> None:
        self._stack = stack
        self._crypter = crypter
        self._kills = kills
        self._rng = random.Random(seed)
        self.met: Counter[str] = Counter()

    def run(self) -> None:
        seconds = self._complete(_goal(self._rng))
        while self.met["kills"] < self._kills:
            goal = _goal(self._rng)
            self._stack.declare(goal)
            for _ in range(self._rng.randint(1, 3)):
                verb = self._rng.choice(["up", "up", "up", "refresh", "refresh", "destroy"])
                if verb == "refresh":
                    self._lose_objects()
                self._kill(verb, self._rng.uniform(0.05, seconds * 1.2))
            seconds = self._complete(goal)
        self._stack.engine("destroy", "--yes", "--skip-preview")
        assert self._stack.objects() == set()

    def _lose_objects(self) -> None:
        """Takes objects away behind the engine's back."""
        objects = sorted(self._stack.objects())
        for name in self._rng.sample(objects, min(2, len(objects))):
            (self._stack.folder / "objects" / name).unlink()
            self.met["vanished objects"] += 1

    def _kill(self, verb: str, after: float) -> None:
        process = self._stack.start(verb, "--yes", "--skip-preview")
        try:
            process.wait(after)
            self.met["ended before the kill"] += 1
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self.met["kills"] += 1
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        eventually(lambda: not self._stack.processes())
        state = json.loads(self._stack.checkpoint.read_text())
        deployment = state["checkpoint"]["latest"]
        pending = read_deployment(state["version"], deployment, lambda _: self._crypter.decrypt).pending
        self.met.update(f"left {operation.type}" for operation in pending)

    def _complete(self, goal: Goal) -> float:
        """Lets an update come to its end, and gives its duration."""
        stack = self._stack
        stack.declare(goal)
        began = time.monotonic()
        stack.up("--refresh")
        seconds = time.monotonic() - began
        self.met["completed"] += 1
        resources = stack.resources()
        things = _things(goal)
        assert set(resources) == set(things) | set(goal)
        assert stack.objects() == {resources[name]["id"] for name in things}
        assert "pending_operations" not in stack.deployment()
        assert TOKEN not in stack.checkpoint.read_text()
        for name, entry in things.items():
            found = json.loads((stack.folder / "objects" / resources[name]["id"]).read_text())
            assert (found["kind"], found["value"]) == (entry["kind"], entry["value"]), name
            assert ("token" in found) == bool(entry.get("secret")), name
        return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    args = parser.parse_args()
    crypter = Crypter(PASSPHRASE)
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "things", crypter)
        stack.initialize()
        loop = KillLoop(stack, crypter, args.kills, args.seed)
        began = time.monotonic()
        try:
            loop.run()
        finally:
            print(f"seed {args.seed}, {time.monotonic() - began:.0f} s:")
            for what, count in sorted(loop.met.items()):
                print(f"  {count:4} {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
