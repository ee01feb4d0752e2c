"""The figures of the page, out of the texts that Envoy and Triton write."""

from __future__ import annotations

import math

import pytest

from operate.dashboard.figures import figures, outcome, quantile
from operate.dashboard.samples import Samples

BEFORE = """
# TYPE envoy_front_door_requests counter
envoy_front_door_requests{client="checkout",generation="7",status="200",grpc_status=""} 100
envoy_front_door_requests{client="checkout",generation="",status="429",grpc_status=""} 4
# TYPE envoy_front_door_milliseconds histogram
envoy_front_door_milliseconds_bucket{route="infer",generation="7",le="5"} 100
envoy_front_door_milliseconds_bucket{route="infer",generation="7",le="10"} 100
envoy_front_door_milliseconds_bucket{route="infer",generation="7",le="+Inf"} 100
envoy_front_door_milliseconds_sum{route="infer",generation="7"} 250
envoy_front_door_milliseconds_count{route="infer",generation="7"} 100
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="wine",version="1"} 100
# TYPE nv_inference_request_failure counter
nv_inference_request_failure{model="wine",reason="BACKEND",version="1"} 0
nv_inference_request_failure{model="wine",reason="OTHER",version="1"} 1
# TYPE nv_inference_count counter
nv_inference_count{model="wine",version="1"} 100
# TYPE nv_inference_exec_count counter
nv_inference_exec_count{model="wine",version="1"} 100
# TYPE nv_inference_queue_duration_us counter
nv_inference_queue_duration_us{model="wine",version="1"} 1000
# TYPE nv_inference_compute_infer_duration_us counter
nv_inference_compute_infer_duration_us{model="wine",version="1"} 1000
"""
NOW = """
# TYPE envoy_http_downstream_rq_active gauge
envoy_http_downstream_rq_active{envoy_http_conn_manager_prefix="front_door"} 3
# TYPE envoy_front_door_requests counter
envoy_front_door_requests{client="checkout",generation="7",status="200",grpc_status=""} 120
envoy_front_door_requests{client="checkout",generation="",status="429",grpc_status=""} 6
envoy_front_door_requests{client="checkout",generation="8",status="200",grpc_status="INTERNAL"} 2
envoy_front_door_requests{client="-",generation="",status="401",grpc_status=""} 4
# TYPE envoy_front_door_milliseconds histogram
envoy_front_door_milliseconds_bucket{route="infer",generation="7",le="5"} 110
envoy_front_door_milliseconds_bucket{route="infer",generation="7",le="10"} 120
envoy_front_door_milliseconds_bucket{route="infer",generation="7",le="+Inf"} 120
envoy_front_door_milliseconds_sum{route="infer",generation="7"} 350
envoy_front_door_milliseconds_count{route="infer",generation="7"} 120
envoy_front_door_milliseconds_bucket{route="infer",generation="",le="5"} 6
envoy_front_door_milliseconds_bucket{route="infer",generation="",le="10"} 6
envoy_front_door_milliseconds_bucket{route="infer",generation="",le="+Inf"} 6
envoy_front_door_milliseconds_count{route="infer",generation=""} 6
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="wine",version="1"} 120
# TYPE nv_inference_request_failure counter
nv_inference_request_failure{model="wine",reason="BACKEND",version="1"} 2
nv_inference_request_failure{model="wine",reason="OTHER",version="1"} 1
# TYPE nv_inference_count counter
nv_inference_count{model="wine",version="1"} 160
# TYPE nv_inference_exec_count counter
nv_inference_exec_count{model="wine",version="1"} 115
# TYPE nv_inference_queue_duration_us counter
nv_inference_queue_duration_us{model="wine",version="1"} 31000
# TYPE nv_inference_compute_infer_duration_us counter
nv_inference_compute_infer_duration_us{model="wine",version="1"} 51000
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{model="wine",version="1"} 5
"""


@pytest.fixture
def found():
    return figures(Samples.read(12.0, NOW), Samples.read(2.0, BEFORE))


def test_requests_are_told_a_second_by_outcome_and_by_status(found):
    assert found.requests == {"answered": 2.0, "refused": 0.4, "limited": 0.2, "mistaken": 0, "failed": 0.2}
    assert found.statuses == {"200": 2.0, "401": 0.4, "429": 0.2, "INTERNAL": 0.2}
    assert found.active == 3


def test_each_client_has_its_own_and_strangers_have_one_row(found):
    stranger, checkout = found.clients
    assert (stranger["client"], stranger["requests"], stranger["refused"]) == ("(unknown)", 4, 0.4)
    assert (checkout["client"], checkout["requests"]) == ("checkout", 128)
    assert (checkout["answered"], checkout["limited"], checkout["failed"]) == (2.0, 0.2, 0.2)
    assert checkout["rate"] == pytest.approx(2.4)


def test_a_request_that_is_broken_does_not_say_that_the_service_asks_for_no_key():
    broken = 'envoy_front_door_requests{client="",generation="",status="400",grpc_status=""} 2'
    text = f"# TYPE envoy_front_door_requests counter\n{broken}\n"
    (nobody,) = figures(Samples.read(12.0, text), Samples.read(2.0, "")).clients
    assert (nobody["client"], nobody["mistaken"]) == ("(no name)", 0.2)


def test_latencies_are_those_of_the_requests_that_a_server_answered(found):
    assert found.latency == {"p50": 5.0, "p95": pytest.approx(9.5), "p99": pytest.approx(9.9)}
    (infer,) = found.routes
    assert (infer["requests"], infer["rate"], infer["p50"]) == (126, 2.6, 5.0)
    new, old = found.generations
    assert (new["generation"], new["failed"], new["p50"]) == ("8", 0.2, None)
    assert (old["generation"], old["requests"], old["p95"]) == ("7", 120, pytest.approx(9.5))


def test_models_have_the_mean_queue_computation_and_batch_of_the_time_between(found):
    (wine,) = found.models
    assert wine == {
        "model": "wine",
        "version": "1",
        "requests": 120,
        "rate": 2.0,
        "failed": 0.2,
        "queue": 1.5,
        "compute": 2.5,
        "batch": 4.0,
        "waiting": 5,
    }


def test_without_requests_there_is_nothing_to_divide_by():
    same = Samples.read(1.0, NOW)
    found = figures(same, same)
    assert found.requests == dict.fromkeys(("answered", "refused", "limited", "mistaken", "failed"), 0)
    assert found.latency == {"p50": None, "p95": None, "p99": None}
    assert (found.models[0]["queue"], found.models[0]["batch"]) == (None, None)
    assert figures(Samples(1.0), Samples(0.0)).clients == []


def test_a_server_that_began_anew_counts_from_zero():
    (checkout,) = figures(Samples.read(12.0, BEFORE), Samples.read(2.0, NOW)).clients
    assert checkout["answered"] == 10.0
    added = Samples.read(12.0, BEFORE).since(Samples.read(2.0, NOW))
    buckets = [sample.value for sample in added.of("envoy_front_door_milliseconds_bucket")]
    assert buckets == [100, 100, 100]  # also of the bucket that did not go back


def test_a_triton_that_did_not_answer_before_counts_from_what_it_has():
    without = "\n".join(line for line in BEFORE.splitlines() if "nv_inference" not in line)
    (wine,) = figures(Samples.read(12.0, NOW), Samples.read(2.0, without)).models
    assert (wine["requests"], wine["rate"], wine["failed"], wine["queue"]) == (120, 0, 0, None)


@pytest.mark.parametrize(
    ("status", "grpc", "name"),
    [
        ("200", "", "answered"),
        ("304", "", "answered"),
        ("200", "OK", "answered"),
        ("401", "", "refused"),
        ("403", "", "refused"),
        ("200", "UNAUTHENTICATED", "refused"),
        ("200", "PERMISSION_DENIED", "refused"),
        ("429", "", "limited"),
        ("200", "RESOURCE_EXHAUSTED", "limited"),
        ("404", "", "mistaken"),
        ("0", "", "mistaken"),
        ("200", "INVALID_ARGUMENT", "mistaken"),
        ("503", "", "failed"),
        ("200", "UNAVAILABLE", "failed"),
        ("200", "16777216", "failed"),
    ],
)
def test_a_status_is_an_outcome(status, grpc, name):
    assert outcome(status, grpc) == name


@pytest.mark.parametrize(
    ("buckets", "share", "value"),
    [
        ([], 0.5, None),
        ([(1, 0), (math.inf, 0)], 0.5, None),
        ([(1, 10), (2, 10), (math.inf, 10)], 0.5, 0.5),
        ([(1, 0), (2, 10), (math.inf, 10)], 0.5, 1.5),
        ([(1, 4), (2, 8), (4, 10), (math.inf, 10)], 0.9, 3.0),
        ([(1, 0), (2, 1), (math.inf, 10)], 0.95, 2),
        ([(math.inf, 10), (2, 10), (1, 0)], 1.0, 2.0),
    ],
)
def test_quantiles_are_those_of_prometheus(buckets, share, value):
    assert quantile(buckets, share) == value
