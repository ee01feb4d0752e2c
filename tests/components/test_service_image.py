import os
from pathlib import Path

import pytest

from bundle.layout import check_layout
from bundle.registry import Registry, RegistryError
from components.model_bundle import ModelBundle, ModelBundleArgs
from components.providers.build_context import ServiceContextProvider
from components.service_image import ServiceImage, ServiceImageArgs

REFERENCE = f"registry.example.com/team/triton@sha256:{'1' * 64}"


@pytest.fixture
def declare_image(declare, settings_with, tmp_path):
    """Declare the image of a service on target `docker`, named `img`."""

    def run(**changed):
        settings = settings_with(deployment={"target": "docker"}, **changed)

        def declared():
            bundles = [ModelBundle("b", ModelBundleArgs.of(settings, model)) for model in settings.models]
            image = ServiceImage("img", ServiceImageArgs.of(settings, bundles))
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


@pytest.fixture
def context_inputs(tmp_path, bundle_folder):
    """The inputs of a service's build context, and the registered folder that it copies."""
    registry = Registry(str(tmp_path / "registry"))
    registered = registry.register("m", check_layout(bundle_folder, target="docker"), framework="Multi")
    served = {"registry": registry.url, "name": "m", "version": 1.0, "digest": registered.digest, "framework": "Multi"}
    folder = registry.local_path(registered)
    return {
        "bundles": [{**served, "path": str(folder)}],
        "environmentImage": "environment:1",
        "folder": str(tmp_path / "context"),
        "holdsModels": True,
    }, folder


def test_an_image_gets_the_registered_files_and_no_other(context_inputs):
    inputs, folder = context_inputs
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"left by a version that served from here")
    made = Path(ServiceContextProvider().create(inputs).outs["path"])
    files = {path.relative_to(made / "models/m/1") for path in (made / "models").rglob("*") if path.is_file()}
    assert files == {file.relative_to(folder) for file in (folder / "triton").rglob("*") if file.is_file()}


def test_no_image_is_built_of_a_damaged_version(context_inputs):
    inputs, folder = context_inputs
    file = next(folder.rglob("model.onnx"))
    status, content = file.stat(), file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(content[:-1] + b"?")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # only its hash tells
    with pytest.raises(RegistryError, match=f"{file}: has other content than was registered; m:1 is immutable: put"):
        ServiceContextProvider().create(inputs)
