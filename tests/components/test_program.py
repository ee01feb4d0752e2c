"""The program as a whole: what it exports, and what a user's mistake looks like."""

import runpy
import signal

import pulumi
import pytest

from components import node_pool_deployment
from components import stack_settings as reading
from targets.process.service_folder import ServiceDirectory

EXPORTS = {
    "scoringUri",
    "tritonUri",
    "grpcUri",
    "swaggerUri",
    "metricsUri",
    "primaryKey",
    "secondaryKey",
    "state",
    "modelId",
    "modelDigest",
    "models",
    "environment",
}


@pytest.fixture
def program(request, monkeypatch, settings_with):
    def run(settings=None, error=None):
        exported = {}
        monkeypatch.setattr(pulumi, "export", exported.__setitem__)

        def given(_project):
            if error is not None:
                raise error
            return settings or settings_with()

        monkeypatch.setattr(reading, "stack_settings", given)
        monkeypatch.setattr(signal, "signal", lambda *_: None)  # the tests' own interrupts stay theirs
        runpy.run_path(str(request.config.rootpath / "__main__.py"), run_name="__main__")
        return exported

    return run


def test_it_exports_every_output_and_keeps_the_keys_secret(declare, program, settings_with, tmp_path):
    settings = settings_with(stateDirectory=str(tmp_path / "var"), registry=str(tmp_path / "registry"))
    declared = declare(lambda: program(settings))
    assert set(declared.values) == EXPORTS
    assert {name for name, secret in declared.secret.items() if secret} == {"primaryKey", "secondaryKey"}
    assert declared.values["modelId"] == "triton_model:1"


def test_on_a_node_pool_it_exports_how_to_get_there_too(declare, program, settings_with, tmp_path, monkeypatch):
    nothing = classmethod(lambda _class, _settings: None)  # there is no cluster to ask
    monkeypatch.setattr(node_pool_deployment.NodePoolDeployment, "check", nothing)
    settings = settings_with(
        stateDirectory=str(tmp_path / "var"),
        registry=str(tmp_path / "registry"),
        deployment={"target": "node-pool", "computeTargetName": "aks-gpu", "gpuCores": 1},
        image={"repository": "registry.example/team/triton"},
    )
    declared = declare(lambda: program(settings))
    assert set(declared.values) == EXPORTS | {"cluster", "logs", "portForward"}
    assert {name for name, secret in declared.secret.items() if secret} == {"primaryKey", "secondaryKey"}
    assert declared.values["scoringUri"] == "http://triton-webservice.default.svc"
    assert declared.values["portForward"].endswith(" port-forward service/triton-webservice 6789:80")


def test_what_must_go_on_under_another_name_is_not_named_after_the_service(declare, program, settings_with, tmp_path):
    settings = settings_with(
        serviceName="web", stateDirectory=str(tmp_path / "var"), registry=str(tmp_path / "registry")
    )
    names = {name for name in declare(lambda: program(settings)).resources if not name.startswith("web-")}
    stays = {
        "deployment",
        "deployment-service",
        "gateway",
        "gateway-front-door",
        "keys",
        "keys-primary",
        "keys-secondary",
    }
    assert names == stays


def test_another_stacks_service_is_refused_before_anything_is_declared(declare, program, settings_with, tmp_path):
    settings = settings_with(stateDirectory=str(tmp_path / "var"), registry=str(tmp_path / "registry"))
    ServiceDirectory.of(tmp_path / "var", settings.service_name).claim("organization/p/other", overwrite=False)

    def refused():
        with pytest.raises(pulumi.RunError, match="is taken by the stack organization/p/other"):
            program(settings)

    assert set(declare(refused).resources) <= {"triton-serving-test"}
    assert not (tmp_path / "registry").exists()


def test_a_mistake_of_the_user_ends_it_without_a_traceback(declare, program):
    from settings import SettingsError
    from settings.errors import Mistake

    def mistaken():
        with pytest.raises(pulumi.RunError, match=r"deployment\.port"):
            program(error=SettingsError("test", [Mistake(path="deployment.port", expected="expected a number")]))

    declare(mistaken)
