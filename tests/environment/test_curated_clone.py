from dataclasses import FrozenInstanceError

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from environment.curated_clone import Environment, SpecError
from environment.curated_environments import read_curated


@pytest.fixture
def curated() -> Environment:
    return Environment.get("AzureML-Triton")


def test_the_curated_environment_is_got_by_its_name(curated: Environment) -> None:
    assert curated.name == "AzureML-Triton"
    assert curated.variables["WORKER_COUNT"] == "1"
    assert any(Requirement(package).name == "tritonclient" for package in curated.requirements)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        SpecError, match=r"'azureml-trition' is not a curated environment; did you mean 'AzureML-Triton'\?"
    ):
        Environment.get("azureml-trition")


def test_a_name_near_to_none_is_answered_with_all_there_are() -> None:
    with pytest.raises(SpecError, match="there is 'AzureML-Triton'"):
        Environment.get("sklearn")


def test_a_clone_has_its_own_packages_and_variables_and_leaves_the_curated_one_alone(curated: Environment) -> None:
    clone = curated.clone("My-Triton").add_pip_package("nltk").with_variables({"WORKER_COUNT": "3", "LANG": "C.UTF-8"})

    assert clone.name == "My-Triton"
    assert clone.requirements == (*curated.requirements, "nltk")
    assert clone.variables == {"WORKER_COUNT": "3", "LANG": "C.UTF-8"}
    assert curated == Environment.get("AzureML-Triton")
    with pytest.raises(FrozenInstanceError):
        clone.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["", "../My-Triton", "my triton", ".hidden", "a" * 64])
def test_a_clone_is_not_named_what_a_folder_cannot_be(curated: Environment, name: str) -> None:
    with pytest.raises(SpecError, match="as in 'My-Triton'"):
        curated.clone(name)


@pytest.mark.parametrize(
    "package", ["nltk", "nltk==3.9.1", "regex>=2024,<2027", "uvicorn[standard]", "numpy", "numpy>=1.20"]
)
def test_requirements_are_taken_as_pep_508_writes_them(curated: Environment, package: str) -> None:
    assert Requirement(curated.add_pip_package(package).pip_packages[-1]) == Requirement(package)


@pytest.mark.parametrize("package", ["nltk 3.9", "-r requirements.txt", "nltk=3.9", "", "./wheels/nltk.whl"])
def test_what_is_no_requirement_is_refused_in_words(curated: Environment, package: str) -> None:
    with pytest.raises(SpecError) as refused:
        curated.add_pip_package(package)
    assert str(refused.value).startswith(f"pip package {package!r} is not a requirement as PEP 508 writes it")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("package", "pin"),
    [
        ("numpy>=3", "'numpy==1.26.4'"),
        ("TritonClient<2", "'tritonclient[http]=="),
        ("orjson @ https://example.org/orjson.whl", "'orjson=="),
    ],
)
def test_a_package_that_contradicts_a_pin_is_refused_with_the_pin(curated: Environment, package: str, pin: str) -> None:
    with pytest.raises(SpecError) as refused:
        curated.add_pip_package(package)
    assert pin in str(refused.value)
    assert "'AzureML-Triton'" in str(refused.value)


def test_every_curated_package_is_pinned_to_one_version() -> None:
    for environment in read_curated().values():
        packages = (*environment.packages, *environment.wheel.packages.cpu, *environment.wheel.packages.gpu)
        for requirement in map(Requirement, packages):
            assert [specifier.operator for specifier in requirement.specifier] == ["=="], requirement


def test_the_curated_image_and_wheel_are_recent_enough_to_serve_the_same_models() -> None:
    for environment in read_curated().values():
        assert Version(environment.image.triton_server) >= Version(environment.wheel.triton_server) >= Version("2.51")
        assert environment.image.reference == f"nvcr.io/nvidia/tritonserver:{environment.image.release}-py3"
