"""A stack's outputs for people: a table, and a command to paste for each address."""

import json
import shlex
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bundle.probe_questions import declared_versions
from bundle.registry import Registry, RegistryError
from common.atomic_files import write_whole
from serving.triton.tensors import needs_binary
from settings.golden import golden_request, request_file
from settings.schema import Settings, Target
from targets.machine.local_host import LOCAL_PORT, loopback_host

__all__ = ["commands", "show"]

_LONGEST_BODY = 500


def show(console: Console, settings: Settings, stack: str, text: str) -> int:
    """Print the outputs, the JSON of `pulumi stack output --json`, and how to call each address; gives an exit code."""
    values: dict[str, Any] = json.loads(text) if text.strip() else {}
    if not values:
        console.print(f"stack '{stack}' has no outputs yet; deploy it: make up STACK={stack}")
        return 1
    table = Table("output", "value", box=box.SIMPLE_HEAD)
    for name, value in values.items():
        table.add_row(name, escape(_shown(name, value)))
    console.print(table)
    for line in commands(values, settings, stack):
        console.print(line, markup=False, soft_wrap=True)
    return 0


def commands(values: Mapping[str, Any], settings: Settings, stack: str) -> Iterator[str]:
    """The commands that call each address; the key stays out of process listings and of the shell's history."""
    header = ""
    if settings.deployment.auth_enabled:
        yield "To call it, take the key first (bash, zsh):"
        yield f"  key=$(make -s key{'' if stack == 'local' else f' STACK={stack}'})"
        header = ' -H @- <<< "Authorization: Bearer $key"'
    trust = f" --cacert {shlex.quote(settings.tls.certificate_file.written)}" if settings.tls else ""
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
    post = f"{curl} -H 'Content-Type: application/json'"
    if settings.entry_script is not None and scoring:
        golden, sent = golden_request(settings), request_file(settings)
        if golden is None:
            file = Path(settings.entry_script).with_suffix(".golden.json").name
            yield f"Put what the script's run() expects into request.json (a request in {file} would stand here):"
        if sent is not None:
            path, content_type = sent
            data = f"-H 'Content-Type: {content_type}' --data-binary {_at(path, settings.project)}"
            yield f"  {curl} {scoring} {data}{header}"
        else:
            body = _body(golden["request"], settings, "score") if golden else "@request.json"
            yield f"  {post} {scoring} -d {body}{header}"
    if triton:
        yield f"  {curl} {triton}/v2/health/ready{header}"
        models = [model["name"] for bundle in values.get("models") or () for model in bundle["models"]]
        if models:
            yield f"  {curl} {triton}/v2/models/{models[0]}{header}"
        for name, version, request in islice(_golden_requests(values, settings), 1):
            body = _body(request, settings, name)
            yield f"  {post} {triton}/v2/models/{name}/versions/{version}/infer -d {body}{header}"
    if values.get("swaggerUri"):
        yield f"  {curl} {values['swaggerUri']}{header}"
    if values.get("metricsUri") and settings.deployment.target is not Target.NODE_POOL:
        yield f"  curl -sS {values['metricsUri']}"


def _golden_requests(values: Mapping[str, Any], settings: Settings) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """The golden inferences of the deployed models: model, version and request."""
    registry = Registry(settings.registry)
    for bundle in values.get("models") or ():
        name, _, version = str(bundle["modelId"]).rpartition(":")
        if not bundle["models"]:
            continue
        try:
            registered = registry.get(name, int(version))
        except RegistryError:  # outputs are shown all the same
            continue
        for model in declared_versions(registered):
            # Triton takes half-precision numbers in binary form alone, which nobody pastes.
            if model["golden"] and not needs_binary(model["golden"]["request"]["inputs"]):
                yield model["name"], model["version"], model["golden"]["request"]


def _body(request: Any, settings: Settings, name: str) -> str:
    """A request as curl's `-d` takes it: a long one in a file among the caches, named from the project's folder."""
    text = json.dumps(request)
    if len(text) <= _LONGEST_BODY:
        return shlex.quote(text)
    file = Path(settings.state_directory).resolve() / "cache" / "requests" / settings.service_name / f"{name}.json"
    write_whole(file, text, mode=0o600)
    return _at(file, settings.project)


def _at(file: Path, project: Path) -> str:
    """Name a file as curl's arguments do, from the project's folder."""
    shown = file.relative_to(project) if file.is_relative_to(project) else file
    return shlex.quote(f"@{shown}")


def _shown(name: str, value: Any) -> str:
    if name == "models":
        return "\n".join(line for bundle in value for line in _bundle(bundle))
    if name == "environment" and isinstance(value, dict):
        return f"{value['name']} {str(value['digest'])[:12]}"
    if name == "cluster" and isinstance(value, dict):
        return f"{value['context'] or value['server']} ({value['uid']})"
    return str(value) if value is not None else "-"


def _bundle(bundle: Mapping[str, Any]) -> Iterator[str]:
    if not bundle["models"]:
        yield f"{bundle['modelId']}: files for the entry script"
    for model in bundle["models"]:
        versions = ", ".join(map(str, model["versions"]))
        platform = f" ({model['platform']})" if model["platform"] else ""
        yield f"{bundle['modelId']}: {model['name']} {versions}{platform}"
