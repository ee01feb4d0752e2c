"""The questions asked of Prometheus, in PromQL: one place for autoscaling, alerts and the dashboard.

Triton's counters are per model and version, so a quotient is taken per model first: a sum over all models would let a
busy, fast model hide a slow one's queue.
"""

from gateway.listener import FRONT_DOOR

__all__ = ["FRONT_DOOR_PREFIX", "RATE_WINDOW", "error_ratio", "failure_ratio", "front_door_requests", "queue_ms"]

RATE_WINDOW = "2m"
FRONT_DOOR_PREFIX = f'envoy_http_conn_manager_prefix="{FRONT_DOOR}"'
_NEVER_ZERO = "1e-9"  # no requests, no queue: 0 rather than no answer, which autoscalers take for a fault


def queue_ms(selector: str, by: str) -> str:
    """Milliseconds that a request waited in Triton's queue: of each `by`, its model with the longest wait."""
    queued = f"sum by ({by}, model) (rate(nv_inference_queue_duration_us{{{selector}}}[{RATE_WINDOW}]))"
    requests = f"sum by ({by}, model) (rate(nv_inference_request_success{{{selector}}}[{RATE_WINDOW}]))"
    return f"max by ({by}) ({queued} / clamp_min({requests}, {_NEVER_ZERO})) / 1000"


def failure_ratio(selector: str) -> str:
    """The part of a model's requests that Triton could not answer, 0 to 1."""
    failed = f"sum by (model) (rate(nv_inference_request_failure{{{selector}}}[{RATE_WINDOW}]))"
    answered = f"sum by (model) (rate(nv_inference_request_success{{{selector}}}[{RATE_WINDOW}]))"
    return f"{failed} / clamp_min({failed} + {answered}, {_NEVER_ZERO})"


def front_door_requests(selector: str) -> str:
    """Requests a second at the front door, refused ones too."""
    return f"sum(rate(envoy_http_downstream_rq_total{{{selector},{FRONT_DOOR_PREFIX}}}[{RATE_WINDOW}]))"


def error_ratio(selector: str) -> str:
    """The part of the front door's answers that are 5xx, 0 to 1."""
    classes = f"{selector},{FRONT_DOOR_PREFIX}"
    failed = f'sum(rate(envoy_http_downstream_rq_xx{{{classes},envoy_response_code_class="5"}}[{RATE_WINDOW}]))'
    return f"{failed} / clamp_min({front_door_requests(selector)}, {_NEVER_ZERO})"
