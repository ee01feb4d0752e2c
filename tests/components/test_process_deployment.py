import socket

import pytest

from targets.errors import ServiceError
from targets.process.service_folder import ServiceDirectory


def test_the_service_is_a_child_with_all_its_parts(declare_service, settings_with):
    declared = declare_service(settings_with(serviceName="web"))
    service = declared.resources["svc-dep-service"]
    assert (service.type, service.parent) == ("triton:index:ProcessService", "svc-dep")
    assert service.inputs["serviceName"] == "web"
    assert service.inputs["bundles"][0]["framework"] == "Multi"
    assert service.inputs["environmentPath"] == "/environments/e"
    assert declared.values["state"] == "Healthy"


def test_no_key_is_among_its_inputs(declare_service, settings_with):
    settings = settings_with(primaryKey="a-key-of-the-users-own-0123456789")
    service = declare_service(settings).resources["svc-dep-service"]
    assert "a-key-of-the-users-own" not in str(service.inputs)


@pytest.mark.parametrize(
    ("changed", "shape"),
    [
        ({}, ["triton"]),
        ({"entryScript": "score.py"}, ["triton", "scorer"]),
        (
            {"entryScript": "score.py", "models": [{"path": "scripts", "name": "m", "framework": "Custom"}]},
            ["scorer"],
        ),
    ],
)
def test_the_shape_follows_from_the_models_and_the_script(declare_service, settings_with, scripts, changed, shape):
    assert declare_service(settings_with(**changed)).values["shape"] == shape


def test_a_changed_script_changes_the_service(declare_service, settings_with, scripts):
    settings = settings_with(entryScript="score.py")
    before = declare_service(settings).resources["svc-dep-service"].inputs
    (scripts / "helper.py").write_text("LIMIT = 3\n")
    assert declare_service(settings).resources["svc-dep-service"].inputs != before


def test_a_service_of_another_stack_is_refused_before_anything_is_declared(declare_service, settings_with, tmp_path):
    directory = ServiceDirectory.of(tmp_path / ".var", "web")
    directory.claim("organization/other/prod", overwrite=False)
    with pytest.raises(ServiceError, match="serviceName 'web' is taken by the stack organization/other/prod"):
        declare_service(settings_with(serviceName="web"))


def test_with_overwrite_it_is_taken_over(declare_service, settings_with, tmp_path):
    ServiceDirectory.of(tmp_path / ".var", "web").claim("organization/other/prod", overwrite=False)
    declared = declare_service(settings_with(serviceName="web", deployment={"overwrite": True}))
    assert declared.resources["svc-dep-service"].inputs["overwrite"] is True


def test_a_front_door_whose_port_was_taken_is_no_reason_not_to_refresh(declare_service, settings_with, tmp_path):
    owner = declare_service(settings_with()).resources["svc-dep-service"].inputs["owner"]
    with socket.create_server(("127.0.0.1", 0)) as taker:
        port = taker.getsockname()[1]
        directory = ServiceDirectory.of(tmp_path / ".var", "triton-webservice")
        record = directory.claim(owner, overwrite=False)
        directory.write_record(record.model_copy(update={"door_owner": owner, "port": port}))
        assert declare_service(settings_with(deployment={"port": port})).values["state"] == "Healthy"


CLONE = {"name": "My-Triton", "clone": "AzureML-Triton", "pipPackages": ["nltk"], "variables": {"WORKER_COUNT": "2"}}


def test_its_environment_is_a_venv_with_the_clones_packages(declare_service, settings_with):
    declared = declare_service(settings_with(environment=CLONE))
    venv = declared.resources["svc-dep-environment"]
    assert (venv.type, venv.parent) == ("triton:index:EnvironmentVenv", "svc-dep")
    assert venv.inputs["pipPackages"] == ["nltk"]
    assert venv.inputs["triton"] is True
    assert declared.values["environment"] == {"name": "My-Triton", "digest": "e" * 64}


def test_variables_of_the_clone_stand_over_the_curated_ones(declare_service, settings_with):
    service = declare_service(settings_with(environment=CLONE)).resources["svc-dep-service"]
    assert service.inputs["variables"]["WORKER_COUNT"] == "2"


def test_a_scoring_only_service_needs_no_triton(declare_service, settings_with, tmp_path, scripts):
    (tmp_path / "model.txt").write_text("weights")
    settings = settings_with(models=[{"path": "model.txt", "name": "m", "framework": "Custom"}], entryScript="score.py")
    assert declare_service(settings).resources["svc-dep-environment"].inputs["triton"] is False
