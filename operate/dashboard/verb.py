"""Start the dashboard of a stack's service, and end it with Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable

from common.errors import UserError
from operate.dashboard.asking import Asking
from operate.dashboard.server import Server
from operate.dashboard.watch import Watch
from operate.stack_outputs import stack_outputs
from settings.schema import Settings
from targets.contract import Stack, verbs_of

__all__ = ["PORT", "show"]

PORT = 6781


def show(
    stack: Stack, settings: Callable[[], Settings], name: str, engine: str, port: str, say: Callable[[str], object]
) -> int:
    """Serve the page until somebody interrupts; gives an exit code.

    Args:
        stack: The stack.
        settings: Reads its settings, which may change while the page is open.
        name: Its name.
        engine: The command that reads its outputs.
        port: The port to serve at, "" for `PORT`.
        say: Prints a line.

    Raises:
        UserError: There is no service, its key cannot be read, or the port cannot be had.
    """
    if port and not port.isdecimal():
        raise UserError(
            f"PORT is '{port}': expected a port of this machine, as in: make dashboard STACK={name} PORT={PORT}"
        )
    verbs = verbs_of(stack.settings.deployment.target)
    watch = Watch(lambda: verbs.door(stack))
    watch.look()
    asking = Asking(settings, lambda: stack_outputs(engine, name), lambda: verbs.door(stack))
    shown = {"/figures": watch.shown, "/requests": asking.shown, "/description": asking.description}
    with Server(int(port or PORT), name, shown, asking.ask) as server:
        try:
            watch.start()
            say(f"{stack.settings.service_name}: {server.address}")
            say("It is for this machine and whoever has this address. Ctrl-C ends it.")
            server.serve_forever()
        except (KeyboardInterrupt, SystemExit):
            say("the dashboard ended")
        finally:
            watch.stop()
    return 0
