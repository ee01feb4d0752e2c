import pytest

from components.service_image import ServiceImage, ServiceImageArgs
from tests.components.conftest import bundles_of, secrets_of

REFERENCE = f"registry.example.com/team/triton@sha256:{'1' * 64}"


@pytest.fixture
def declare_image(declare, settings_with, tmp_path):
    """Declare the image of a service on target `docker`, named `img`."""

    def run(**changed):
        settings = settings_with(deployment={"target": "docker"}, **changed)

        def declared():
            bundles = bundles_of(settings)
            image = ServiceImage("img", ServiceImageArgs.of(settings, bundles, secrets_of(settings)))
            return {"reference": image.reference, "environment": image.environment}

        return declare(declared)

    return run


def test_the_services_image_starts_from_the_environments(declare_image):
    declared = declare_image()
    environment, service = declared.resources["img-environment-image"], declared.resources["img-image"]
    assert (environment.type, environment.parent) == ("docker:index/image:Image", "img-environment")
    assert (service.type, service.parent) == ("docker:index/image:Image", "img")
    assert environment.inputs["imageName"] == "triton-webservice:environment-aaaaaaaaaaaa"
    context = declared.resources["img-context"].inputs
    assert context["environmentImage"] == "triton-webservice:environment-aaaaaaaaaaaa"
    assert context["bundles"][0]["digest"] == "d" * 64


def test_without_a_repository_images_stay_on_the_engine_and_go_by_their_id(declare_image):
    declared = declare_image()
    assert declared.resources["img-image"].inputs["skipPush"] is True
    assert declared.values["reference"] == f"sha256:{'c' * 64}"


def test_with_a_repository_they_are_pushed_and_go_by_digest(declare_image):
    declared = declare_image(image={"repository": "registry.example.com/team/triton"})
    service = declared.resources["img-image"]
    assert service.inputs["imageName"].startswith("registry.example.com/team/triton:service-")
    assert service.inputs["skipPush"] is False
    assert "registry" not in service.inputs
    assert declared.resources["img-context"].inputs["environmentImage"] == f"sha256:{'c' * 64}"


def test_credentials_go_in_as_secrets(declare_image):
    image = {"repository": "registry.example.com/team/triton", "username": "robot"}
    service = declare_image(image=image, imagePassword="s3cret").resources["img-image"]
    assert "registry" in service.secrets
    assert service.inputs["registry"]["server"] == "registry.example.com"


def test_where_packages_come_from_goes_into_the_build_as_a_secret(declare_image, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://somebody:s3cret@index.example.com/simple")
    environment = declare_image().resources["img-environment-image"]
    assert "build" in environment.secrets
    assert environment.inputs["build"]["args"]["PIP_INDEX_URL"].endswith("@index.example.com/simple")
    assert "s3cret" not in str(declare_image().resources["img-environment-context"].inputs)


def test_another_base_image_takes_the_place_of_the_curated_one(declare_image):
    assert declare_image().resources["img-environment-context"].inputs["baseImage"].startswith("nvcr.io/nvidia/")
    changed = declare_image(image={"baseImage": "registry.example.com/triton:1"})
    assert changed.resources["img-environment-context"].inputs["baseImage"] == "registry.example.com/triton:1"


def test_an_image_that_exists_is_pulled_and_nothing_is_built(declare_image):
    declared = declare_image(image={"reference": REFERENCE})
    assert declared.resources["img-pulled"].inputs["name"] == REFERENCE
    assert [r for r in declared.resources.values() if r.type == "docker:index/image:Image"] == []
    assert declared.values["reference"] == REFERENCE


def test_it_is_pulled_with_the_credentials(declare_image):
    declared = declare_image(image={"reference": REFERENCE, "username": "robot"}, imagePassword="s3cret")
    provider = declared.resources["img-registry"]
    assert provider.type == "pulumi:providers:docker"
    assert "registryAuth" in provider.secrets


def test_a_changed_script_changes_what_the_image_is_built_from(declare_image, scripts):
    before = declare_image(entryScript="score.py").resources["img-context"].inputs
    (scripts / "helper.py").write_text("LIMIT = 3\n")
    assert declare_image(entryScript="score.py").resources["img-context"].inputs != before
