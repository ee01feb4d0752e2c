"""The first lines of the log: the server's settings and routes, in the form of Azure's server, without secrets."""

from __future__ import annotations

from urllib.parse import urlsplit

from serving import __version__
from serving.http import http1
from serving.script.entry_script import locate
from serving.settings import Settings

_FORM = """
Entry script server v{version}


Server Settings
---------------
{settings}


Server Routes
---------------
{routes}
"""


def text(settings: Settings) -> str:
    """Write the lines, with an empty line around each part."""
    health = settings.health_port or settings.port
    collection = settings.collection
    values = {
        "Entry Script Name": locate(settings),
        "Model Directory": settings.model_dir,
        "Config File": settings.config_file,
        "Worker Count": settings.worker_count,
        "Worker Timeout (seconds)": settings.worker_timeout,
        "Server Port": settings.port,
        "Health Port": health,
        "Application Insights Enabled": "false",
        "Inferencing HTTP server version": http1.SERVER_NAME,
        "CORS for the specified origins": ", ".join(settings.cors_origins) or None,
        "Create dedicated endpoint for health": str(settings.health_port is not None).lower(),
        "Scoring Timeout (milliseconds)": settings.scoring_timeout_ms,
        "Largest Request (bytes)": settings.max_request_bytes,
        "Concurrent Requests": settings.max_concurrent_requests,
        "Triton": None if settings.triton_url is None else _without_secrets(settings.triton_url),
        "Data Collection": None if collection is None else _without_secrets(collection.url),
    }
    routes = (
        f"Liveness Probe: GET   {settings.host}:{health}/\nScore:          POST  {settings.host}:{settings.port}/score"
    )
    lines = "\n".join(f"{name}: {value}" for name, value in values.items())
    return _FORM.format(version=__version__, settings=lines, routes=routes)


def _without_secrets(url: str) -> str:
    """Take out of a URL the parts that may be secret: user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=host, query="", fragment="").geturl()
    except ValueError:
        return "given"
