"""The service gets from the cluster what it needs, in one program and in two stacks."""

import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from conftest import CLUSTER, KUBECONFIG, REGISTRY, REPOSITORY, Login, Run

INFRA = "organization/triton-infra/dev"


def test_in_one_program_it_takes_the_cluster_s_outputs(run: Run, login: Login) -> None:
    service = run("one_program", gpuNodes="2").resources["triton-webservice"]
    assert service.inputs["image"] == {"repository": f"{REGISTRY['loginServer']}/triton-webservice"}
    assert service.inputs["kubeconfig"] == KUBECONFIG
    assert "kubeconfig" in service.secrets
    assert service.inputs["nodePool"]["spareGpus"] == 1
    assert service.inputs["deployment"]["computeTargetName"] == "aks-gpu"


def test_in_one_program_it_waits_for_all_of_the_cluster(run: Run, login: Login) -> None:
    ran = run("one_program")
    assert {"triton-gpu", "triton-device-plugin", "triton-pull"} <= ran.resources["triton-webservice"].depends_on


def test_docker_is_logged_in_before_the_repository_is_known(run: Run, login: Login) -> None:
    run("one_program")
    assert login.commands == [["az", "acr", "login", "--name", REGISTRY["name"]]]


def test_a_preview_logs_in_nowhere(run: Run, login: Login) -> None:
    run("one_program", preview=True)
    assert login.commands == []


def test_a_login_that_fails_is_told_in_azure_s_words(run: Run, login: Login) -> None:
    login.returncode, login.stderr = 1, "Please run 'az login' to setup account.\n"
    with pytest.raises(pulumi.RunError, match=r"^az acr login --name \w+: Please run 'az login' to setup account\.$"):
        run("one_program")


def test_a_missing_az_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(pulumi.RunError, match="az is not on PATH"):
        run("one_program")


def test_in_two_stacks_it_takes_the_other_stack_s_outputs(run: Run) -> None:
    ran = run("two_stacks/service", infraStack=INFRA)
    service = ran.resources["triton-webservice"]
    assert service.inputs["image"] == {"repository": f"{REGISTRY['loginServer']}/triton-webservice"}
    assert service.inputs["nodePool"]["clusterStack"] == INFRA
    assert service.inputs["nodePool"]["spareGpus"] == 1
    assert not service.secrets
    assert not [resource for resource in ran.resources.values() if resource.type.startswith("azure-native:")]


def test_the_other_stack_exports_what_the_service_reads(run: Run) -> None:
    program = (CLUSTER / "two_stacks" / "service" / "__main__.py").read_text()
    read = set(re.findall(r'infra\.require_output\("(\w+)"\)', program)) | {"kubeconfig"}
    exported = run("two_stacks/infra", gpuNodes="2").exports
    assert read <= set(exported)
    assert exported["imageRepository"] == f"{REGISTRY['loginServer']}/triton-webservice"
    assert exported["spareGpus"] == 1


@pytest.mark.parametrize("program", ["one_program", "two_stacks/service"])
def test_what_a_program_names_is_there(program: str, run: Run, login: Login) -> None:
    folder = CLUSTER / program
    ran = run(program, infraStack=INFRA)
    service, model = ran.resources["triton-webservice"].inputs, ran.of("ModelBundle").inputs
    assert (folder / model["path"] / "triton").is_dir()
    assert (folder / service["sourceDirectory"] / service["entryScript"]).is_file()
    package = yaml.safe_load((folder / "Pulumi.yaml").read_text())["packages"]["triton"]
    assert (folder / package).resolve() == REPOSITORY / "provider"


@pytest.mark.parametrize("program", ["one_program", "two_stacks/service"])
def test_the_package_takes_what_the_programs_give(program: str, run: Run, login: Login) -> None:
    schema = json.loads((REPOSITORY / "tests" / "provider" / "schema.json").read_text())
    for name, resource in run(program, infraStack=INFRA).resources.items():
        if resource.type.startswith("triton:"):
            taken = schema["resources"][resource.type]["inputProperties"]
            assert not list(_unknown(resource.inputs, taken, schema)), name


def _unknown(given: dict[str, Any], taken: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """The properties that a schema does not have, those of groups too."""
    found = [name for name in given if name not in taken]
    for name in set(given) & set(taken):
        group = taken[name].get("$ref", "").removeprefix("#/types/")
        if group in schema["types"] and isinstance(given[name], dict):
            found += [
                f"{name}.{unknown}" for unknown in _unknown(given[name], schema["types"][group]["properties"], schema)
            ]
    return found


def test_the_tests_have_the_packages_of_the_programs() -> None:
    asked = {
        line for file in CLUSTER.glob("**/__main__.py") for line in _requirements(file.with_name("requirements.txt"))
    }
    assert asked <= {*_requirements(CLUSTER / "tests" / "requirements.in"), "sdks/triton"}


def _requirements(file: Path) -> list[str]:
    return [line.partition("#")[0].strip() for line in file.read_text().splitlines() if line.partition("#")[0].strip()]
