"""The questions asked of Prometheus, in PromQL: one place for autoscaling, alerts and the dashboard.

Triton's counters are per model and version, so a quotient is taken per model first: a sum over all models would let a
busy, fast model hide a slow one's queue.
"""

from gateway.clients import NONE
from gateway.door_metrics import REQUESTS
from gateway.listener import FRONT_DOOR

__all__ = [
    "FAILED",
    "FRONT_DOOR_PREFIX",
    "LIMITED",
    "NOT_GRANTED",
    "NOT_KNOWN",
    "RATE_WINDOW",
    "Statuses",
    "answers",
    "error_ratio",
    "failure_ratio",
    "known_clients",
    "queue_ms",
    "ratio_of_clients",
    "strangers",
    "waking_requests",
]

RATE_WINDOW = "2m"
FRONT_DOOR_PREFIX = f'envoy_http_conn_manager_prefix="{FRONT_DOOR}"'
_NEVER_ZERO = "1e-9"  # no requests, no queue: 0 rather than no answer, which autoscalers take for a fault

Statuses = tuple[str, str]
"""Statuses of HTTP, and those that gRPC has for them in calls whose HTTP status is 200; both are patterns."""
NOT_KNOWN: Statuses = ("401", "UNAUTHENTICATED")
NOT_GRANTED: Statuses = ("403", "PERMISSION_DENIED")
LIMITED: Statuses = ("429", "RESOURCE_EXHAUSTED")
FAILED: Statuses = ("5..", "UNAVAILABLE|INTERNAL|UNKNOWN|DEADLINE_EXCEEDED|DATA_LOSS")


def queue_ms(selector: str, by: str) -> str:
    """Milliseconds that a request waited in Triton's queue: of each `by`, its model with the longest wait."""
    queued = f"sum by ({by}, model) (rate(nv_inference_queue_duration_us{{{selector}}}[{RATE_WINDOW}]))"
    requests = f"sum by ({by}, model) (rate(nv_inference_request_success{{{selector}}}[{RATE_WINDOW}]))"
    return f"max by ({by}) ({queued} / clamp_min({requests}, {_NEVER_ZERO})) / 1000"


def known_clients(selector: str) -> str:
    """Select the requests that clients sent whom the front door knows."""
    return f'{selector},client!~"{NONE}|"'


def strangers(selector: str) -> str:
    """Query the requests a second that the front door refuses because it does not know the client.

    A 401 of the script goes to a client that the front door knows.
    """
    return answers(f'{selector},client="{NONE}"', statuses=NOT_KNOWN)


def answers(selector: str, by: str = "", statuses: Statuses | None = None) -> str:
    """Query the front door's answers a second, or those with some statuses: all together, or of each `by`."""
    selected = [selector]
    if statuses is not None:
        http, grpc = statuses
        selected = [f'{selector},status=~"{http}"', f'{selector},grpc_status=~"{grpc}"']
    rates = " or ".join(f"rate({REQUESTS}{{{found}}}[{RATE_WINDOW}])" for found in selected)
    return f"sum{f' by ({by})' if by else ''} ({rates})"


def ratio_of_clients(selector: str, statuses: Statuses) -> str:
    """Query the part of each known client's requests that ended with some statuses, 0 to 1."""
    known = known_clients(selector)
    return f"{answers(known, 'client', statuses)} / clamp_min({answers(known, 'client')}, {_NEVER_ZERO})"


def failure_ratio(selector: str) -> str:
    """Query the part of a model's requests that Triton could not answer, 0 to 1."""
    failed = f"sum by (model) (rate(nv_inference_request_failure{{{selector}}}[{RATE_WINDOW}]))"
    answered = f"sum by (model) (rate(nv_inference_request_success{{{selector}}}[{RATE_WINDOW}]))"
    return f"{failed} / clamp_min({failed} + {answered}, {_NEVER_ZERO})"


def waking_requests(selector: str) -> str:
    """Query the requests a second that call for a replica: those that one answered, and those that met none.

    A stranger's, which the front door refuses, do not, and neither do health checks, which Envoy does not count here.
    """
    wanted = f'{selector},{FRONT_DOOR_PREFIX},envoy_response_code_class!="4"'
    return f"sum(rate(envoy_http_downstream_rq_xx{{{wanted}}}[{RATE_WINDOW}]))"


def error_ratio(selector: str) -> str:
    """Query the part of the front door's answers that are 5xx, 0 to 1."""
    classes = f"{selector},{FRONT_DOOR_PREFIX}"
    failed = f'sum(rate(envoy_http_downstream_rq_xx{{{classes},envoy_response_code_class="5"}}[{RATE_WINDOW}]))'
    answered = f"sum(rate(envoy_http_downstream_rq_completed{{{classes}}}[{RATE_WINDOW}]))"
    return f"{failed} / clamp_min({answered}, {_NEVER_ZERO})"
