import shutil

import pytest

from bundle.layout import check_layout
from bundle.problems import LayoutError
from bundle.registry import Registry, RegistryError
from components.model_bundle import ModelBundle, ModelBundleArgs
from tests.provider.asking import create


def outputs_of(settings):
    def declared():
        made = ModelBundle("svc-m", ModelBundleArgs.of(settings, settings.models[0]))
        return {"model_id": made.model_id, "digest": made.digest, "summary": made.summary}

    return declared


def test_a_folder_is_registered_under_its_name(declare, settings_with, tmp_path):
    declared = declare(outputs_of(settings_with()))
    child = declared.resources["svc-m-version"]
    assert (child.type, child.parent) == ("triton:index:RegisteredModel", "svc-m")
    assert declared.values["model_id"] == "triton_model:1"
    assert declared.values["summary"]["models"][0]["name"] == "digits"


def test_changed_content_changes_the_digest_that_preview_shows(declare, settings_with, tmp_path, bundle_folder):
    before = declare(outputs_of(settings_with())).resources["svc-m-version"].inputs["digest"]
    assert before == declare(outputs_of(settings_with())).resources["svc-m-version"].inputs["digest"]
    (bundle_folder / "NOTES.md").write_text("another file of the bundle")
    assert before != declare(outputs_of(settings_with())).resources["svc-m-version"].inputs["digest"]


def test_a_bad_layout_ends_before_anything_is_declared(declare, settings_with, tmp_path, bundle_folder):
    settings = settings_with()
    (bundle_folder / "triton" / "empty").mkdir()

    def declared():
        with pytest.raises(LayoutError, match="empty"):
            ModelBundle("svc-m", ModelBundleArgs.of(settings, settings.models[0]))

    seen = declare(declared).resources
    assert "svc-m" not in seen


def test_a_rollback_updates_what_was_registered_and_its_outputs_are_known_at_preview(
    declare, settings_with, tmp_path, bundle_folder
):
    registry = Registry(str(tmp_path / "registry"))
    registry.register("triton_model", check_layout(bundle_folder, target="process"), framework="Multi")
    settings = settings_with(models=["triton_model:1"], registry="registry")
    declared = declare(outputs_of(settings))
    assert declared.values["model_id"] == "triton_model:1"
    assert list(declared.resources) == ["svc-m", "svc-m-version"]
    inputs = declared.resources["svc-m-version"].inputs
    folder = declare(outputs_of(settings_with(registry="registry"))).resources["svc-m-version"].inputs
    assert {**inputs, "source": folder["source"]} == folder
    taken = create("RegisteredModel", inputs)
    assert (taken["version"], taken["models"][0]["name"]) == (1, "digits")


def test_a_registered_version_shows_the_notes_that_its_folder_showed(
    declare, settings_with, tmp_path, bundle_folder, monkeypatch
):
    (bundle_folder / "triton" / "digits" / "1" / "golden.json").write_text("{}")
    Registry(str(tmp_path / "registry")).register(
        "triton_model", check_layout(bundle_folder, target="process"), framework="Multi"
    )
    shown: list[str] = []
    monkeypatch.setattr("pulumi.log.info", lambda note, resource: shown.append(note))
    declare(outputs_of(settings_with(registry="registry")))
    of_the_folder, shown[:] = list(shown), []
    declare(outputs_of(settings_with(models=["triton_model:1"], registry="registry")))
    assert shown == of_the_folder
    assert [note.partition(":")[0] for note in shown] == ["triton/digits/1/golden.json"]


def test_the_registry_keeps_a_version_that_a_stack_no_longer_has(declare, settings_with, tmp_path):
    assert declare(outputs_of(settings_with())).resources["svc-m-version"].retained


def test_a_version_that_left_the_registry_is_refused(declare, settings_with, tmp_path, bundle_folder):
    registry = Registry(str(tmp_path / "registry"))
    registry.register("triton_model", check_layout(bundle_folder, target="process"), framework="Multi")
    settings = settings_with(models=["triton_model:1"], registry="registry")
    shutil.rmtree(tmp_path / "registry")

    def declared():
        with pytest.raises(RegistryError, match="triton_model"):
            ModelBundle("svc-m", ModelBundleArgs.of(settings, settings.models[0]))

    declare(declared)
