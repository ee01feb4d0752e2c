"""The program as a whole: what it exports, and what a user's mistake looks like."""

import pulumi
import pytest

from bundle.layout import check_layout
from bundle.registry import Registry
from components import node_pool_deployment
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
    "version",
}


def test_it_exports_every_output_and_keeps_the_keys_secret(declare, program, settings_with, tmp_path):
    settings = settings_with(stateDirectory=str(tmp_path / "var"), registry=str(tmp_path / "registry"))
    declared = declare(lambda: program(settings))
    assert set(declared.values) == EXPORTS
    assert {name for name, secret in declared.secret.items() if secret} == {"primaryKey", "secondaryKey"}
    assert declared.values["modelId"] == "triton_model:1"


def test_with_clients_it_exports_their_keys_as_a_secret(declare, program, settings_with, tmp_path):
    settings = settings_with(
        stateDirectory=str(tmp_path / "var"), registry=str(tmp_path / "registry"), clients=[{"name": "checkout"}]
    )
    declared = declare(lambda: program(settings))
    assert set(declared.values) == EXPORTS | {"clientKeys"}
    assert {name for name, secret in declared.secret.items() if secret} == {"primaryKey", "secondaryKey", "clientKeys"}
    assert {name: sorted(pair) for name, pair in declared.values["clientKeys"].items()} == {
        "checkout": ["primary", "secondary"]
    }
    (door,) = [found for name, found in declared.resources.items() if name.endswith("front-door")]
    assert sorted(door.inputs["clientKeys"]) == ["checkout-primary", "checkout-secondary"]
    assert "clientKeys" in door.secrets | door.secret_outputs


def test_on_a_node_pool_it_exports_how_to_get_there_too(declare, program, settings_with, tmp_path, monkeypatch):
    nothing = classmethod(lambda _class, _name, _settings: "")  # there is no cluster to ask
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
    names = set(declare(lambda: program(settings)).resources)
    assert names == {
        "triton_model",
        "triton_model-version",
        "AzureML-Triton",
        "service",
        "service-deployment",
        "service-deployment-environment",
        "service-deployment-service",
        "service-gateway",
        "service-gateway-front-door",
        "service-keys",
        "service-keys-primary",
        "service-keys-secondary",
        "service-smoke-check",
        "service-smoke-check-run",
        "service-version",
        "service-version-kept",
    }


def test_another_stacks_service_is_refused_before_anything_is_declared(declare, program, settings_with, tmp_path):
    settings = settings_with(stateDirectory=str(tmp_path / "var"), registry=str(tmp_path / "registry"))
    ServiceDirectory.of(tmp_path / "var", settings.service_name).claim("organization/p/other", overwrite=False)

    def refused():
        with pytest.raises(pulumi.RunError, match="is taken by the stack organization/p/other"):
            program(settings)

    assert set(declare(refused).resources) <= {"triton-serving-test"}
    assert not (tmp_path / "registry").exists()


def test_a_mistake_of_the_user_ends_it_without_a_traceback(declare, program):
    from settings.errors import Mistake, SettingsError

    def mistaken():
        with pytest.raises(pulumi.RunError, match=r"deployment\.port"):
            program(error=SettingsError("test", [Mistake(path="deployment.port", expected="expected a number")]))

    declare(mistaken)


def test_a_registered_version_shows_the_notes_that_its_folder_showed(
    declare, program, settings_with, tmp_path, bundle_folder, monkeypatch
):
    (bundle_folder / "triton" / "digits" / "1" / "golden.json").write_text("{}")
    Registry(str(tmp_path / "registry")).register(
        "triton_model", check_layout(bundle_folder, target="process"), framework="Multi"
    )
    shown: list[str] = []
    monkeypatch.setattr("pulumi.log.info", lambda note, resource: shown.append(note))
    declare(lambda: program(settings_with(registry="registry")))
    of_the_folder, shown[:] = list(shown), []
    declare(lambda: program(settings_with(models=["triton_model:1"], registry="registry")))
    assert shown == of_the_folder
    assert [note.partition(":")[0] for note in shown] == ["triton/digits/1/golden.json"]
