import pytest

from bundle.layout import check_layout
from bundle.registry import content_digest
from tests.provider.asking import changes, create, update


@pytest.fixture
def inputs(tmp_path, bundle_folder):
    """The inputs of a bundle with the digits model."""
    return {
        "registry": str(tmp_path / "registry"),
        "cache": str(tmp_path / "cache"),
        "name": "m",
        "source": str(bundle_folder),
        "digest": content_digest(check_layout(bundle_folder, target="process")),
        "framework": "Multi",
        "tags": {},
        "description": "",
    }


@pytest.fixture
def outputs(inputs):
    """The outputs of the bundle's registered version."""
    return create("RegisteredModel", inputs)


def test_a_damaged_version_is_registered_again_which_restores_it(inputs, outputs, tmp_path):
    assert not changes("RegisteredModel", inputs, outputs)
    next((tmp_path / "registry").rglob("model.onnx")).unlink()
    assert changes("RegisteredModel", inputs, outputs)
    assert update("RegisteredModel", inputs, outputs) == outputs
    assert not changes("RegisteredModel", inputs, outputs)


def test_where_a_folder_lies_is_no_change(inputs, outputs):
    assert not changes("RegisteredModel", {**inputs, "source": "/one"}, outputs, {**inputs, "source": "/two"})
    assert not changes("RegisteredModel", {**inputs, "cache": "/one"}, outputs, {**inputs, "cache": ""})


def test_a_version_that_an_older_release_registered_is_told_anew(inputs, outputs, tmp_path):
    manifest = tmp_path / "registry" / "m" / "1" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"goldenRules": ', '"goldenRulesOfOld": '))
    assert changes("RegisteredModel", inputs, outputs)


def test_a_version_whose_files_are_gone_is_registered_again(inputs, outputs):
    assert changes("RegisteredModel", inputs, {**outputs, "path": "/nowhere"})


def test_what_is_registered_is_said(inputs):
    said: list[str] = []
    create("RegisteredModel", inputs, said)
    create("RegisteredModel", {**inputs, "source": ""}, said)
    assert said == ["m:1 is registered", "m:1 is in the registry"]
