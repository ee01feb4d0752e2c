"""Services declared by plain inputs, as any Pulumi program does."""

import re

import pulumi
import pytest

from components import docker_deployment, node_pool_deployment
from components.model_bundle import ModelBundle
from components.triton_environment import TritonEnvironment
from components.triton_service import TritonService
from settings.errors import SettingsError


@pytest.fixture(autouse=True)
def _program_folder(tmp_path, bundle_folder, scripts, monkeypatch):
    monkeypatch.chdir(tmp_path)


def service(name="triton-webservice", **arguments):
    deployment = {"target": "process", "port": 16789, **arguments.pop("deployment", {})}
    if deployment["target"] == "node-pool":
        del deployment["port"]
    models = arguments.pop("models", None) or [ModelBundle("triton_model", path="models")]
    return TritonService(name, models=models, deployment=deployment, **arguments)


def test_it_reads_like_azures_document(declare):
    def declared():
        model = ModelBundle("bidaf-9-tutorial", path="models", tags={"area": "NLP"}, description="Question answering")
        environment = TritonEnvironment(
            "My-Triton", clone="AzureML-Triton", pip_packages=["nltk"], variables={"WORKER_COUNT": "1"}
        )
        made = TritonService(
            "triton-webservice",
            models=[model],
            environment=environment,
            entry_script="score.py",
            source_directory="scripts",
            deployment={"target": "process", "cpu_cores": 1, "memory_gb": 4, "auth_enabled": True, "port": 16789},
        )
        return {"scoringUri": made.scoring_uri, "state": made.state, "key": made.primary_key, "id": model.model_id}

    result = declare(declared)
    assert result.values["scoringUri"] == "http://localhost:16789/score"
    assert result.values["id"] == "bidaf-9-tutorial:1"
    assert result.secret == {"scoringUri": False, "state": False, "key": True, "id": False}
    inputs = result.resources["triton-webservice-deployment-service"].inputs
    assert inputs["serviceName"] == "triton-webservice"
    assert inputs["variables"]["WORKER_COUNT"] == "1"
    assert result.resources["bidaf-9-tutorial-version"].inputs["tags"] == {"area": "NLP"}


def test_several_services_share_a_model_in_one_program(declare):
    def declared():
        models = [ModelBundle("triton_model", path="models")]
        service("one", models=models)
        service("two", models=models, deployment={"port": 16790})

    resources = declare(declared).resources
    one, two = resources["one-deployment-service"], resources["two-deployment-service"]
    assert one.parent == "one-deployment"
    # A service that got another name is found by its owner.
    assert one.inputs["owner"].endswith("/triton-serving/test (one)")
    assert two.inputs["owner"].endswith("/triton-serving/test (two)")


def test_several_services_on_docker_have_networks_of_their_own(declare, monkeypatch):
    monkeypatch.setattr(docker_deployment.DockerDeployment, "check", lambda *_: "")

    def declared():
        models = [ModelBundle("triton_model", path="models")]
        service("one", models=models, deployment={"target": "docker"})
        service("two", models=models, deployment={"target": "docker", "port": 16790})

    resources = declare(declared).resources
    names = [resources[f"{name}-deployment-network"].inputs["name"] for name in ("one", "two")]
    assert len(set(names)) == 2
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name) for name in names)


def test_two_services_of_a_program_that_want_one_place_are_refused(declare):
    def declared():
        models = [ModelBundle("triton_model", path="models")]
        service("one", models=models, deployment={"port": 16789, "metrics_port": 16790})
        service("two", models=models, service_name="one", deployment={"port": 16790, "metrics_port": 16791})

    with pytest.raises(SettingsError) as caught:
        declare(declared)
    assert str(caught.value).splitlines() == [
        "TritonService 'two' has 2 mistakes:",
        "  serviceName has the value 'one': TritonService 'one' of this program has the same; choose another "
        "serviceName",
        "  deployment.port has the value '16790': TritonService 'one' of this program has the same; choose another "
        "deployment.port",
    ]


def test_every_mistake_is_told_at_once_and_nothing_of_the_service_is_declared(declare):
    def declared():
        models = [ModelBundle("triton_model", path="models")]
        with pytest.raises(SettingsError) as raised:
            service("A", models=models, entry_script="none.py", deployment={"cpu_core": 1, "memory_gb": -1})
        told.append(str(raised.value))

    told: list[str] = []
    resources = declare(declared).resources
    assert set(resources) == {"triton_model", "triton_model-version"}
    lines = told[0].splitlines()
    assert lines[0] == "TritonService 'A' has 4 mistakes:"
    assert "  service_name has the value 'A': expected 3 to 32 lower-case letters" in told[0]
    assert (
        "  deployment.cpu_core has the value 1: there is no such setting; did you mean 'deployment.cpuCores'?" in lines
    )
    assert "  deployment.memory_gb has the value -1: expected a number above 0" in lines
    assert "  entryScript has the value 'none.py': expected a Python file in " in told[0]


def test_one_registry_holds_all_models_of_a_service(declare):
    def declared():
        models = [ModelBundle("one", path="models"), ModelBundle("two", path="models", registry="elsewhere")]
        with pytest.raises(SettingsError, match=r"one registry for all models of a service, found .*elsewhere"):
            service(models=models)

    declare(declared)


def test_an_output_among_the_inputs_is_waited_for(declare):
    def declared():
        port = pulumi.Output.from_input(16791)
        made = service(deployment={"port": port}, entry_script=pulumi.Output.from_input("score.py"))
        return {"scoringUri": made.scoring_uri, "portForward": made.port_forward}

    result = declare(declared)
    assert result.values == {"scoringUri": "http://localhost:16791/score", "portForward": None}
    assert result.resources["triton-webservice-deployment-service"].parent == "triton-webservice-deployment"


def test_children_depend_on_the_resources_whose_outputs_are_inputs(declare):
    def declared():
        first = ModelBundle("first", path="models")
        made = service(deployment={"port": first.version.apply(lambda version: 16791 + version)})
        return {"scoringUri": made.scoring_uri}

    result = declare(declared)
    assert result.values["scoringUri"] == "http://localhost:16792"
    assert "first-version" in result.resources["triton-webservice-deployment-service"].depends_on


def test_a_mistake_in_what_an_output_brought_ends_the_program_with_its_words(declare):
    def declared():
        made = service(deployment={"port": pulumi.Output.from_input(0)})
        return {"scoringUri": made.scoring_uri}

    with pytest.raises(pulumi.RunError, match=r"deployment\.port has the value 0: expected at least 1"):
        declare(declared)


def test_what_only_up_knows_is_told_at_preview(declare, monkeypatch):
    told = []
    monkeypatch.setattr(pulumi.log, "info", lambda text, *_: told.append(text))

    def declared():
        unknown = pulumi.Output.from_input(pulumi.output.Unknown())
        made = service(image={"base_image": unknown})
        return {"scoringUri": made.scoring_uri}

    result = declare(declared, preview=True)
    assert "triton-webservice-deployment-service" not in result.resources
    assert told == ["checked and shown at `up` alone, when image is known"]


def test_a_secret_output_is_refused_where_no_secret_is_kept(declare):
    def declared():
        made = service(entry_script=pulumi.Output.secret("score.py"))
        return {"scoringUri": made.scoring_uri}

    with pytest.raises(pulumi.RunError, match="TritonService 'triton-webservice': entry_script is a secret output"):
        declare(declared)


@pytest.mark.parametrize("wrap", [str, pulumi.Output.secret])
def test_a_key_of_the_users_own_becomes_a_secret(declare, wrap):
    key = "a-key-of-the-users-own-0123456789"

    def declared():
        return {"key": service(primary_key=wrap(key)).primary_key}

    result = declare(declared)
    given = result.resources["triton-webservice-keys-primary"]
    assert (given.inputs["given"], given.secrets) == (key, {"given"})
    assert result.secret["key"]


def test_a_key_that_is_none_is_told_without_it(declare):
    def declared():
        return {"key": service(primary_key=pulumi.Output.secret("short")).primary_key}

    with pytest.raises(pulumi.RunError) as raised:
        declare(declared)
    assert "primaryKey" in str(raised.value)
    assert "short" not in str(raised.value)


def test_a_kubeconfig_on_another_target_is_refused(declare):
    def declared():
        models = [ModelBundle("triton_model", path="models")]
        with pytest.raises(SettingsError, match="kubeconfig: is read by target 'node-pool' alone") as raised:
            service(models=models, kubeconfig="s3cret")
        assert "s3cret" not in str(raised.value)

    declare(declared)


def test_a_kubeconfig_reaches_everything_that_talks_to_the_cluster_as_a_secret(declare, monkeypatch):
    def nobody(*_):
        raise AssertionError("this machine's kubeconfig is read")

    monkeypatch.setattr(node_pool_deployment.NodePoolDeployment, "check", nobody)

    def declared():
        service(
            deployment={"target": "node-pool", "compute_target_name": "aks-gpu", "gpu_cores": 1},
            image={"repository": pulumi.Output.from_input("registry.example/team/triton")},
            kubeconfig=pulumi.Output.from_input("kubeconfig: s3cret"),
        )

    resources = declare(declared).resources
    having = {name: found for name, found in resources.items() if "kubeconfig" in found.inputs}
    assert {found.type.rpartition(":")[2] for found in having.values()} >= {
        "kubernetes",
        "NodePoolCluster",
        "NodePoolRollout",
        "NodePoolCheck",
    }
    assert all("kubeconfig" in found.secrets for found in having.values())
    plain = [name for name, found in resources.items() if name not in having and "s3cret" in str(found.inputs)]
    assert not plain


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "path: is missing, and so is version: expected one of the two"),
        ({"path": "models", "version": 1}, "path: is given, and so is version: expected one of the two"),
        ({"path": "models", "framework": "Tensor"}, "framework has the value 'Tensor'"),
        ({"path": "models", "tags": "area"}, "tags has the value 'area': expected a mapping of names to values"),
    ],
)
def test_a_bundle_tells_its_mistakes(declare, arguments, told):
    def declared():
        with pytest.raises(SettingsError) as raised:
            ModelBundle("m", **arguments)
        assert f"ModelBundle 'm' has 1 mistake:\n  {told}" in str(raised.value)

    assert "m" not in declare(declared).resources
