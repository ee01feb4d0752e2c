"""OpenTelemetry's variables, in a stack's `environment.variables`: which requests have a trace, where their spans go.

    OTEL_* ─► Traces ─┬─► Envoy      a span for each request of inference; it alone decides which requests have a trace
                      ├─► scorer     TRACES_URL: spans of what it does for requests that Envoy chose
                      └─► Triton     --trace-config: spans of requests that carry a `traceparent`

Without OTEL_EXPORTER_OTLP_ENDPOINT nothing of this is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from common.loopback import is_loopback
from common.part import Part

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
SAMPLER = "OTEL_TRACES_SAMPLER"
SHARE = "OTEL_TRACES_SAMPLER_ARG"
ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"
SERVICE_NAME = "OTEL_SERVICE_NAME"
CERTIFICATE = "OTEL_EXPORTER_OTLP_CERTIFICATE"
TRACES_CERTIFICATE = "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"

MILLION = 1_000_000
_PATH = "/v1/traces"
_RATIO, _PARENT = "traceidratio", "parentbased_"
_SAMPLERS = ("always_on", "always_off", _RATIO)
_ALONE = "where the script alone sends spans, set OTEL_TRACES_EXPORTER to 'none' and make its exporter in code"
_ALL_SAMPLERS = (*_SAMPLERS, *(_PARENT + name for name in _SAMPLERS))


class Traces(Part):
    """Which requests have a trace, and where their spans go.

    Attributes:
        url: Where spans go, as in `http://collector:4318/v1/traces`.
        roots: The file of the certificates that vouch for the collector; "" for those that the machine trusts.
        service: The name of the service; its parts have it with their own behind it.
        follows_client: Whether a client's `traceparent` decides for its request.
        millionth: How many of a million requests have a trace where no client decides.
        attributes: What else the spans' resource says.
    """

    url: str
    roots: str = ""
    service: str
    follows_client: bool = True
    millionth: int = MILLION
    attributes: dict[str, str] = {}

    def name_of(self, part: str) -> str:
        """Name a part of the service, as its spans' `service.name`."""
        return f"{self.service}-{part}"


def traces_of(variables: Mapping[str, str], service: str) -> Traces | None:
    """Read the variables of a service; None where its requests have no traces.

    Args:
        variables: The environment's variables, in which `mistakes` finds none.
        service: The name of the service where they give it no other.
    """
    if not _are_on(variables):
        return None
    attributes = dict(_attributes(variables))
    named = attributes.pop("service.name", "")
    sampler = variables.get(SAMPLER) or "parentbased_always_on"
    share = {"always_on": 1.0, "always_off": 0.0}.get(sampler.removeprefix(_PARENT))
    return Traces(
        url=_url(variables)[1],
        roots=_roots(variables)[1],
        service=variables.get(SERVICE_NAME) or named or service,
        follows_client=sampler.startswith(_PARENT),
        millionth=round((float(variables.get(SHARE) or 1) if share is None else share) * MILLION),
        attributes=attributes,
    )


def mistakes(variables: Mapping[str, str], *, in_container: bool) -> Iterator[tuple[str, str]]:
    """Yield each variable by which no traces can be had, and what was expected.

    Args:
        variables: The environment's variables.
        in_container: Whether the service runs in containers, each of which has a `localhost` of its own.
    """
    if not _are_on(variables):
        return
    name, url = _url(variables)
    if problem := _wrong_with(url, in_container=in_container):
        yield name, problem
    yield from _wrong_with_roots(variables, in_container=in_container)
    for name in ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"):
        if (variables.get(name) or "http/protobuf") != "http/protobuf":
            yield (
                name,
                f"expected 'http/protobuf': Triton sends spans over HTTP alone, to the collector's port 4318; {_ALONE}",
            )
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        if variables.get(name):
            yield (
                name,
                "a header with a key must not stand here: the state and the listings of containers and pods show "
                "variables to everybody who may read these; run an OpenTelemetry Collector beside the service, which "
                f"adds the header when it sends spans on; {_ALONE}",
            )
    propagators = variables.get("OTEL_PROPAGATORS") or "tracecontext"
    if "tracecontext" not in [text.strip() for text in propagators.split(",")]:
        yield "OTEL_PROPAGATORS", "expected 'tracecontext' among them: a trace goes on by the header `traceparent`"
    yield from _wrong_with_sampler(variables)
    for text in _pairs(variables):
        if not re.fullmatch(r"[^=\s]+\s*=.*", text):
            yield ATTRIBUTES, f"expected pairs such as 'deployment.environment=test,team=risk'; {text!r} is none"


def _are_on(variables: Mapping[str, str]) -> bool:
    is_disabled = (variables.get("OTEL_SDK_DISABLED") or "").lower() == "true"
    has_exporter = (variables.get("OTEL_TRACES_EXPORTER") or "otlp") == "otlp"
    is_ever_on = variables.get(SAMPLER) != "always_off"
    return bool(_url(variables)[1]) and not is_disabled and has_exporter and is_ever_on


def _url(variables: Mapping[str, str]) -> tuple[str, str]:
    """Give the variable that says where spans go, and the URL, which is "" where none does."""
    if whole := variables.get(TRACES_ENDPOINT):
        return TRACES_ENDPOINT, whole
    base = (variables.get(ENDPOINT) or "").rstrip("/")
    return ENDPOINT, base + _PATH if base else ""


def _roots(variables: Mapping[str, str]) -> tuple[str, str]:
    """Give the variable that says which certificates vouch for the collector, and their file, "" where none does."""
    if not _url(variables)[1].startswith("https:"):
        return CERTIFICATE, ""
    name = TRACES_CERTIFICATE if variables.get(TRACES_CERTIFICATE) else CERTIFICATE
    return name, variables.get(name) or ""


def _wrong_with_roots(variables: Mapping[str, str], *, in_container: bool) -> Iterator[tuple[str, str]]:
    name, roots = _roots(variables)
    if roots and in_container:
        yield (
            name,
            "no container has this file; leave it out: the certificates that the images trust vouch for the collector",
        )
    elif roots and not (Path(roots).is_absolute() and Path(roots).is_file()):
        yield name, "expected the absolute path of a file of certificates that is there, such as /etc/ssl/collector.pem"


def _wrong_with(url: str, *, in_container: bool) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "expected a URL such as http://collector:4318"
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or "@" in parts.netloc:
        return "expected a URL such as http://collector:4318"
    if in_container and is_loopback(host):
        return f"expected the collector's address on the network: in a container {host} is the container itself"
    return ""


def _wrong_with_sampler(variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    sampler, share = variables.get(SAMPLER) or "parentbased_always_on", variables.get(SHARE)
    known = sampler in _ALL_SAMPLERS
    if not known:
        yield SAMPLER, f"expected one of {', '.join(_ALL_SAMPLERS)}"
    if not share:
        return
    if known and not sampler.endswith(_RATIO):
        yield SHARE, f"the sampler '{sampler}' takes none; set {SAMPLER} to '{_PARENT}{_RATIO}' or '{_RATIO}'"
    elif not _is_share(share):
        yield SHARE, "expected a share of the requests from 0 to 1, such as 0.01; the least is 0.000001"


def _is_share(text: str) -> bool:
    try:
        share = float(text)
    except ValueError:
        return False
    return share == 0 or 1 / MILLION <= share <= 1


def _attributes(variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for text in _pairs(variables):
        name, _, value = text.partition("=")
        yield name.strip(), unquote(value.strip())


def _pairs(variables: Mapping[str, str]) -> list[str]:
    return [text.strip() for text in (variables.get(ATTRIBUTES) or "").split(",") if text.strip()]
