"""What `make check`, `status`, `logs` and `dashboard` show of a stack on a Docker engine."""

import json

import httpx

from operate.dashboard.server import TOKEN_HEADER
from targets.machine.ports import free_ports
from tests.docker.project import DockerProject
from tests.e2e.project import dashboard
from tests.traced import Asking
from tests.waiting import eventually


def test_status_shows_the_containers(deployed: DockerProject) -> None:
    shown = deployed.operate("status")
    assert (shown.code, shown.text.splitlines()[0]) == (0, f"{deployed.service}: Healthy")
    assert all(name in shown.text for name in deployed.containers())


def test_status_says_what_is_wrong(deployed: DockerProject) -> None:
    deployed.container("triton").stop()
    try:
        shown = deployed.operate("status")
        assert (shown.code, shown.text.splitlines()[0]) == (1, f"{deployed.service}: Unhealthy")
        assert "-triton ended with exit code" in shown.text
    finally:
        deployed.up()


def test_status_says_that_the_front_door_is_closed(deployed: DockerProject) -> None:
    deployed.container("front-door").stop()
    try:
        shown = deployed.operate("status")
        assert shown.code == 1
        assert f"{deployed.service}-front-door ended with exit code" in shown.text
    finally:
        deployed.up()


def test_logs_show_each_container_under_its_name(deployed: DockerProject) -> None:
    shown = deployed.operate("logs")
    assert shown.code == 0
    for role in ("triton", "scorer", "front-door"):
        assert f"==> {deployed.container(role).name} <==" in shown.text
    assert "Started HTTPService" in shown.text


def test_requests_are_shown_to_programs_as_json_alone(deployed: DockerProject) -> None:
    shown = deployed.operate("logs", "--json")
    assert shown.code == 0
    lines = [json.loads(line) for line in shown.text.splitlines()]
    assert {line["client"] for line in lines if line["status"] == 200} <= {"default"}
    assert all(line["generation"] for line in lines if line["upstream"])


def test_check_serves_the_models_before_they_are_registered(deployed: DockerProject) -> None:
    before = deployed.containers()
    shown = deployed.operate("check")
    assert shown.code == 0, shown.text
    assert "by hand: docker run --rm" in shown.text
    assert "tritonserver --model-repository /models" in shown.text
    assert "model versions ready: 1; golden inferences right: 1;" in shown.text
    assert "/v2/health/ready: 200" in shown.text
    assert "/metrics: 200" in shown.text
    assert deployed.containers() == before


def test_check_fails_with_the_reason_and_leaves_nothing(deployed: DockerProject) -> None:
    digits = deployed.root / "models" / "triton" / "digits"
    kept = (digits / "golden.json").read_text()
    golden = json.loads(kept)
    golden["response"]["outputs"][0]["data"][0] += 1
    (digits / "golden.json").write_text(json.dumps(golden))
    before = deployed.containers()
    try:
        shown = deployed.operate("check")
        assert shown.code == 1
        assert "model digits version 1: golden inference" in shown.text
        assert "Traceback" not in shown.text
        assert deployed.containers() == before
    finally:
        (digits / "golden.json").write_text(kept)


def test_logs_of_what_is_not_deployed_are_refused_in_a_line(deployed: DockerProject) -> None:
    name = deployed.service
    deployed.write_settings(serviceName="nobody-here")
    try:
        shown = deployed.operate("logs")
        assert shown.code == 1
        assert "service 'nobody-here' is not deployed on the engine at" in shown.text
    finally:
        deployed.write_settings(serviceName=name)


def test_the_dashboard_shows_who_asked_what_and_sends_requests(deployed: DockerProject) -> None:
    golden = json.loads((deployed.root / "models" / "triton" / "digits" / "golden.json").read_text())["request"]
    deployed.write_settings(clients=[{"name": "checkout", "models": ["digits"]}])
    deployed.up()
    outputs = deployed.outputs()
    own, checkout = outputs["primaryKey"], outputs["clientKeys"]["checkout"]["primary"]
    with (
        dashboard(deployed, free_ports(1)[0]) as (_, line),
        httpx.Client(base_url=line.split()[1].partition("#")[0], timeout=30) as page,
        deployed.client() as client,
    ):
        page.headers[TOKEN_HEADER] = line.split()[1].partition("#")[2]
        figures = page.get("/figures").json()

        def counts(table: str) -> dict[str, int]:
            return {row[table.removesuffix("s")]: row["requests"] for row in figures[table]}

        def counted_all() -> bool:
            figures.update(page.get("/figures").json())
            return sum(counts("routes").values()) == sum(counts("clients").values())

        eventually(counted_all, "Envoy added the times of the last requests up")  # which it does each second
        before = {table: counts(table) for table in ("clients", "routes", "generations", "models")}

        def ask(key: str, path: str, body: object) -> int:
            return client.post(path, json=body, headers={"Authorization": f"Bearer {key}"}).status_code

        infer = "/v2/models/digits/infer"
        assert [ask(own, "/score", {"row": 0}) for _ in range(3)] == [200] * 3
        assert [ask(checkout, infer, golden) for _ in range(4)] == [200] * 4
        assert [ask(checkout, "/score", {"row": 0}), ask("stranger", infer, golden)] == [403, 401]
        Asking(client, golden, {"row": 0}).ask("grpc_infer")

        def added(table: str) -> dict[str, int]:
            return {
                name: count - before[table].get(name, 0)
                for name, count in counts(table).items()
                if count != before[table].get(name, 0)
            }

        def shows() -> bool:
            figures.update(page.get("/figures").json())
            whole = [sum(added(table).values()) for table in ("clients", "routes")] == [10, 10]
            return whole and figures["latency"]["p50"] is not None

        eventually(shows, "the figures of these requests")
        assert figures["problem"] == ""
        assert added("clients") == {"default": 4, "checkout": 5, "(unknown)": 1}
        assert added("routes") == {"score": 4, "infer": 5, "grpc_infer": 1}
        assert added("generations") == {str(figures["serving"]): 8}
        assert added("models") == {"digits": 8}
        (model,) = figures["models"]
        assert (model["version"], model["batch"] >= 1, model["queue"] > 0, model["compute"] > 0) == ("1", *[True] * 3)
        (row,) = [row for row in figures["clients"] if row["client"] == "checkout"]
        assert [row[outcome] > 0 for outcome in ("answered", "refused", "failed")] == [True, True, False]
        for route in figures["routes"]:
            if route["route"] in ("score", "infer", "grpc_infer"):
                assert 0 < route["p50"] <= route["p95"] <= route["p99"]

        offered = page.get("/requests").json()
        assert offered["clients"] == ["default", "checkout"]
        for golden_request in offered["golden"]:
            sent = page.post("/ask", json={"golden": golden_request["name"]}).json()
            assert (sent["status"], sent["wrong"]) == (200, [])
        assert "/score" in page.get("/description").json()["paths"]
        shown = "".join(page.get(path).text for path in ("/figures", "/requests", "/description"))
    assert own not in shown
    assert checkout not in shown
