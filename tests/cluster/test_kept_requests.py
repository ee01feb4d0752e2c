"""What is kept of requests on a real cluster: their traces, by a collector of this machine, and their records."""

import json

import pytest

from environment.image_layout import RECORDER_PORT
from targets.machine.ports import free_ports
from tests.cluster.images import PROJECT
from tests.cluster.service import DIGITS
from tests.otlp_sink import collector
from tests.traced import Asking, check_that_nobody_misses_it, check_that_nobody_waits, check_traces
from tests.waiting import eventually

GOLDEN = json.loads((DIGITS / "golden.json").read_text())["request"]
SCORED = json.loads((PROJECT / "examples" / "scripts" / "score_digits.golden.json").read_text())["request"]
COUNTS = f"import urllib.request; print(urllib.request.urlopen('http://localhost:{RECORDER_PORT}').read().decode())"
KILL = """
import os, signal
for pid in filter(str.isdecimal, os.listdir("/proc")):
    program, *arguments = open(f"/proc/{pid}/cmdline").read().split("\\0")
    if "serving.recording" in arguments and program != "sh":
        os.kill(int(pid), signal.SIGKILL)
        print(pid)
"""


@pytest.fixture(scope="module")
def collector_port():
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def kept(service, built, collector_port):
    """The service with traces and a recorder; where its spans go, nobody listens yet."""
    service.variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{service.kube.machine()}:{collector_port}",
        # Of the recorder's own process: enough to see that it writes.
        "COLLECT_URL": "memory://collected",
        "COLLECT_SECONDS": "1",
    }
    try:
        service.deploy(*built.good, recordRequests={"sample": 1})
        yield service
    finally:
        service.variables = {}
        service.deploy(*built.good)


def test_requests_have_traces_and_wait_for_no_collector(kept, collector_port):
    with kept.client() as client:
        asking = Asking(client, GOLDEN, SCORED)
        with collector(collector_port, kept.kube.machine()) as sink:
            check_traces(sink, asking, kept.name)
            check_that_nobody_waits(sink, asking)
        check_that_nobody_misses_it(sink.url, asking)


def test_requests_are_recorded_and_a_killed_recorder_comes_back(kept):
    def written():
        told = kept.kube.execute(kept.replica(), "recorder", "python", "-c", COUNTS)
        return json.loads(told)["written"]

    def restarts():
        return [status.restartCount for status in kept.replica().status.initContainerStatuses]

    def infer(times):
        with kept.client() as client:
            return [client.post("/v2/models/digits/infer", json=GOLDEN).status_code for _ in range(times)]

    before, started = written(), restarts()
    assert infer(5) == [200] * 5
    eventually(lambda: written() >= before + 5, "the requests are recorded")
    assert kept.kube.execute(kept.replica(), "recorder", "python", "-c", KILL).split(), "no recorder was killed"
    assert infer(5) == [200] * 5

    def records_again():
        return infer(1) == [200] and written() > 0

    eventually(records_again, "the recorder records again", ignoring=(Exception,))
    assert restarts() == started
