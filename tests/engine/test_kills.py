"""A short run of the kill loop; `python -m tests.engine.soak` is the long one."""

from __future__ import annotations

from engine.state.crypto import Crypter
from tests.engine.conftest import Stack
from tests.engine.soak import KillLoop


def test_killed_runs_leave_a_whole_state_that_the_next_update_repairs(stack: Stack, crypter: Crypter) -> None:
    loop = KillLoop(stack, crypter, kills=4, seed=4)
    loop.run()
    assert loop.met["kills"] >= 4
