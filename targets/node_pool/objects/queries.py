"""The questions asked of Prometheus, in PromQL: one place for autoscaling, alerts and the dashboard.

Triton's counters are per model and version, so a quotient is taken per model first: a sum over all models would let a
busy, fast model hide a slow one's queue.
"""

from gateway.listener import FRONT_DOOR

__all__ = ["FRONT_DOOR_PREFIX", "RATE_WINDOW", "error_ratio", "failure_ratio", "queue_ms", "waking_requests"]

RATE_WINDOW = "2m"
FRONT_DOOR_PREFIX = f'envoy_http_conn_manager_prefix="{FRONT_DOOR}"'
_NEVER_ZERO = "1e-9"  # no requests, no queue: 0 rather than no answer, which autoscalers take for a fault


def queue_ms(selector: str, by: str) -> str:
    """Milliseconds that a request waited in Triton's queue: of each `by`, its model with the longest wait."""
    queued = f"sum by ({by}, model) (rate(nv_inference_queue_duration_us{{{selector}}}[{RATE_WINDOW}]))"
    requests = f"sum by ({by}, model) (rate(nv_inference_request_success{{{selector}}}[{RATE_WINDOW}]))"
    return f"max by ({by}) ({queued} / clamp_min({requests}, {_NEVER_ZERO})) / 1000"


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
