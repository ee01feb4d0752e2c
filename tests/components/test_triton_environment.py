from dataclasses import replace

import pytest

from components.model_bundle import ModelBundle, ModelBundleArgs
from components.triton_environment import TritonEnvironment, TritonEnvironmentArgs
from environment.curated_clone import SpecError

CLONE = {"name": "My-Triton", "clone": "AzureML-Triton", "pipPackages": ["nltk"], "variables": {"WORKER_COUNT": "2"}}


def environment_of(settings):
    def declared():
        bundles = [ModelBundle("svc-m", ModelBundleArgs.of(settings, settings.models[0]))]
        made = TritonEnvironment("svc-env", TritonEnvironmentArgs.of(settings, bundles))
        return {"path": made.path, "summary": made.summary}

    return declared


def test_a_clone_becomes_a_venv_with_its_packages(declare, settings_with, tmp_path):
    declared = declare(environment_of(settings_with(environment=CLONE)))
    venv = declared.resources["svc-env-venv"]
    assert (venv.type, venv.parent) == ("triton:index:EnvironmentVenv", "svc-env")
    assert venv.inputs["pipPackages"] == ["nltk"]
    assert venv.inputs["triton"] is True
    assert declared.values["summary"] == {"name": "My-Triton", "digest": "e" * 64}


def test_variables_of_the_clone_stand_over_the_curated_ones(declare, settings_with, tmp_path):
    settings = settings_with(environment=CLONE)
    made = {}

    def declared():
        made["it"] = TritonEnvironment("svc-env", TritonEnvironmentArgs.of(settings, []))

    declare(declared)
    assert made["it"].variables["WORKER_COUNT"] == "2"


def test_a_scoring_only_service_needs_no_triton(declare, settings_with, tmp_path, scripts):
    (tmp_path / "model.txt").write_text("weights")
    settings = settings_with(models=[{"path": "model.txt", "name": "m", "framework": "Custom"}], entryScript="score.py")
    assert declare(environment_of(settings)).resources["svc-env-venv"].inputs["triton"] is False


def test_an_unknown_curated_environment_ends_before_anything_is_declared(declare, settings_with, tmp_path):
    def declared():
        args = replace(TritonEnvironmentArgs.of(settings_with(), []), clone="AzureML-Tritn")
        with pytest.raises(SpecError, match="AzureML-Triton"):
            TritonEnvironment("svc-env", args)

    assert "svc-env" not in declare(declared).resources
