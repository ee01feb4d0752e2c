import socket

import pytest

from targets.errors import ServiceError
from targets.machine.ports import free_ports
from tests.certificates import make_certificate


def test_the_front_door_is_a_child_and_waits_for_the_deployment(declare_service, settings_with):
    port = free_ports(1)[0]
    door = declare_service(settings_with(deployment={"port": port})).resources["svc-gw-front-door"]
    assert (door.type, door.parent) == ("triton:index:ProcessFrontDoor", "svc-gw")
    assert "svc-dep-service" in door.depends_on
    assert door.inputs["opening"]["port"] == port


def test_keys_go_in_as_secrets(declare_service, settings_with):
    door = declare_service(settings_with()).resources["svc-gw-front-door"]
    assert door.secrets == {"primaryKey", "secondaryKey"}


def test_pages_that_may_call_the_service_go_to_the_front_door(declare_service, settings_with):
    variables = {"AML_CORS_ORIGINS": "https://a.example, https://b.example"}
    declared = declare_service(settings_with(environment={"variables": variables}))
    assert declared.resources["svc-gw-front-door"].inputs["corsOrigins"] == ["https://a.example", "https://b.example"]


def test_with_a_script_the_scoring_uri_is_score(declare_service, settings_with, scripts):
    port = free_ports(1)[0]
    values = declare_service(settings_with(entryScript="score.py", deployment={"port": port})).values
    assert values["scoringUri"] == f"http://localhost:{port}/score"
    assert values["tritonUri"] == f"http://localhost:{port}"
    assert values["swaggerUri"] == f"http://localhost:{port}/swagger.json"
    assert values["metricsUri"] == "http://localhost:6790/metrics"


def test_without_a_script_the_scoring_uri_is_the_base(declare_service, settings_with):
    port = free_ports(1)[0]
    values = declare_service(settings_with(deployment={"port": port})).values
    assert values["scoringUri"] == values["tritonUri"] == f"http://localhost:{port}"
    assert values["grpcUri"] == f"localhost:{port}"
    assert values["swaggerUri"] is None


def test_a_scoring_only_service_has_no_triton_uri(declare_service, settings_with, scripts):
    custom = [{"path": "scripts", "name": "m", "framework": "Custom"}]
    values = declare_service(settings_with(entryScript="score.py", models=custom)).values
    assert (values["tritonUri"], values["grpcUri"]) == (None, None)


def test_a_certificate_makes_it_https(declare_service, settings_with, tmp_path):
    certificate, _ = make_certificate(tmp_path)
    declared = declare_service(settings_with(tls={"certificateFile": "tls.crt", "keyFile": "tls.key"}))
    assert declared.values["scoringUri"].startswith("https://localhost:")
    assert declared.resources["svc-gw-front-door"].inputs["certificateFile"] == str(certificate)


def test_clients_call_the_host_that_the_certificate_is_for(declare_service, settings_with, tmp_path):
    make_certificate(tmp_path, host="models.example")
    declared = declare_service(settings_with(tls={"certificateFile": "tls.crt", "keyFile": "tls.key"}))
    assert declared.values["scoringUri"] == "https://models.example:16789"
    check = declared.resources["svc-check-run"].inputs
    assert (check["url"], check["serverName"]) == ("https://localhost:16789", "models.example")


def test_a_port_that_somebody_holds_ends_it_before_anything_is_declared(declare_service, settings_with):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ServiceError, match=rf"deployment.port {port} is taken by process \d+"):
            declare_service(settings_with(deployment={"port": port}))


def test_a_port_for_the_metrics_goes_to_the_front_door(declare_service, settings_with):
    (port,) = free_ports(1)
    declared = declare_service(settings_with(deployment={"metricsPort": port}))
    assert declared.resources["svc-gw-front-door"].inputs["opening"].get("metricsPort") == port


def test_a_taken_port_of_the_metrics_ends_it_before_anything_is_declared(declare_service, settings_with):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(ServiceError, match=rf"deployment.metricsPort {port} is taken by process \d+"):
            declare_service(settings_with(deployment={"metricsPort": port}))
