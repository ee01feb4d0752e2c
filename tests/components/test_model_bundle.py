import shutil

import pytest

from bundle.layout import check_layout
from bundle.problems import LayoutError
from bundle.registry import Registry, RegistryError
from tests.components.conftest import bundles_of
from tests.provider.asking import create


def outputs_of(settings):
    def declared():
        made = bundles_of(settings)[0]
        return {"model_id": made.model_id, "digest": made.digest, "summary": made.summary}

    return declared


def test_a_folder_is_registered_under_its_name(declare, settings_with, tmp_path):
    declared = declare(outputs_of(settings_with()))
    child = declared.resources["svc-triton_model-version"]
    assert (child.type, child.parent) == ("triton:index:RegisteredModel", "svc-triton_model")
    assert declared.values["model_id"] == "triton_model:1"
    assert declared.values["summary"]["models"][0]["name"] == "digits"


def test_changed_content_changes_the_digest_that_preview_shows(declare, settings_with, tmp_path, bundle_folder):
    before = declare(outputs_of(settings_with())).resources["svc-triton_model-version"].inputs["digest"]
    assert before == declare(outputs_of(settings_with())).resources["svc-triton_model-version"].inputs["digest"]
    (bundle_folder / "NOTES.md").write_text("another file of the bundle")
    assert before != declare(outputs_of(settings_with())).resources["svc-triton_model-version"].inputs["digest"]


def test_a_bad_layout_ends_before_anything_is_declared(declare, settings_with, tmp_path, bundle_folder):
    settings = settings_with()
    (bundle_folder / "triton" / "empty").mkdir()

    def declared():
        with pytest.raises(LayoutError, match="empty"):
            bundles_of(settings)

    seen = declare(declared).resources
    assert "svc-triton_model" not in seen


def test_a_rollback_updates_what_was_registered_and_its_outputs_are_known_at_preview(
    declare, settings_with, tmp_path, bundle_folder
):
    registry = Registry(str(tmp_path / "registry"))
    registry.register("triton_model", check_layout(bundle_folder, target="process"), framework="Multi")
    settings = settings_with(models=["triton_model:1"], registry="registry")
    declared = declare(outputs_of(settings))
    assert declared.values["model_id"] == "triton_model:1"
    assert list(declared.resources) == ["svc-triton_model", "svc-triton_model-version"]
    inputs = declared.resources["svc-triton_model-version"].inputs
    folder = declare(outputs_of(settings_with(registry="registry"))).resources["svc-triton_model-version"].inputs
    assert {**inputs, "source": folder["source"]} == folder
    taken = create("RegisteredModel", inputs)
    assert (taken["version"], taken["models"][0]["name"]) == (1, "digits")


def test_the_registry_keeps_a_version_that_a_stack_no_longer_has(declare, settings_with, tmp_path):
    assert declare(outputs_of(settings_with())).resources["svc-triton_model-version"].retained


def test_a_version_that_left_the_registry_is_refused(declare, settings_with, tmp_path, bundle_folder):
    registry = Registry(str(tmp_path / "registry"))
    registry.register("triton_model", check_layout(bundle_folder, target="process"), framework="Multi")
    settings = settings_with(models=["triton_model:1"], registry="registry")
    shutil.rmtree(tmp_path / "registry")

    def declared():
        with pytest.raises(RegistryError, match="triton_model"):
            bundles_of(settings)

    declare(declared)
