"""A stack's outputs for people: a table, and a command to paste for each address."""

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from machine.loopback import loopback_host
from node_pool.addresses import LOCAL_PORT
from settings import Settings
from settings.golden import golden_request
from settings.schema import Target

__all__ = ["commands", "show"]


def show(console: Console, settings: Settings, project: Path, stack: str, text: str) -> int:
    """Print the outputs, the JSON of `pulumi stack output --json`, and how to call each address; gives an exit code."""
    values: dict[str, Any] = json.loads(text) if text.strip() else {}
    if not values:
        console.print(f"stack '{stack}' has no outputs yet; deploy it: make up STACK={stack}")
        return 1
    table = Table("output", "value", box=box.SIMPLE_HEAD)
    for name, value in values.items():
        table.add_row(name, escape(_shown(name, value)))
    console.print(table)
    for line in commands(values, settings, project, stack):
        console.print(line, markup=False, soft_wrap=True)
    return 0


def commands(values: Mapping[str, Any], settings: Settings, project: Path, stack: str) -> Iterator[str]:
    """The commands that call each address; the key stays out of process listings and of the shell's history."""
    header = ""
    if settings.deployment.auth_enabled:
        yield "To call it, take the key first (bash, zsh):"
        yield f"  key=$(make -s key{'' if stack == 'local' else f' STACK={stack}'})"
        header = ' -H @- <<< "Authorization: Bearer $key"'
    trust = f" --cacert {shlex.quote(settings.tls.certificate_file)}" if settings.tls else ""
    forward = values.get("portForward")
    if forward:
        yield "It is inside the cluster; to reach it, leave this running in another terminal:"
        yield f"  {forward}"
    # The URL stays the service's own, and so does the name that its certificate is for.
    local = settings.tls is not None and settings.deployment.target is not Target.NODE_POOL
    port = LOCAL_PORT if forward else settings.deployment.port if local else None
    way = f" --connect-to ::{loopback_host()}:{port}" if port else ""
    curl = f"curl -sS -w '\\n%{{http_code}}\\n'{trust}{way}"
    scoring, triton = values.get("scoringUri"), values.get("tritonUri")
    if settings.entry_script is not None and scoring:
        golden = golden_request(settings, project)
        body = shlex.quote(json.dumps(golden["request"] if golden else {}))
        yield f"  {curl} {scoring} -H 'Content-Type: application/json' -d {body}{header}"
    if triton:
        yield f"  {curl} {triton}/v2/health/ready{header}"
        models = [model["name"] for bundle in values.get("models") or () for model in bundle["models"]]
        if models:
            yield f"  {curl} {triton}/v2/models/{models[0]}{header}"
    if values.get("swaggerUri"):
        yield f"  {curl} {values['swaggerUri']}{header}"
    if values.get("metricsUri") and settings.deployment.target is not Target.NODE_POOL:
        yield f"  curl -sS {values['metricsUri']}"


def _shown(name: str, value: Any) -> str:
    if name == "models":
        return "\n".join(
            f"{bundle['modelId']}: {model['name']} {', '.join(map(str, model['versions']))} ({model['platform']})"
            for bundle in value
            for model in bundle["models"]
        )
    if name == "environment" and isinstance(value, dict):
        return f"{value['name']} {str(value['digest'])[:12]}"
    return str(value) if value is not None else "-"
