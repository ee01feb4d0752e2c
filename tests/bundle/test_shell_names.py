"""Names that reach a shell's command line: what is not plain is refused, and what is plain is one word to a shell."""

import string
import subprocess
from pathlib import Path

import pytest

from bundle.layout import check_layout
from bundle.problems import LayoutError
from bundle.shell_names import plain
from tests import onnx_models
from tests.bundle.bundles import BATCHED, model, python_file

PLAIN = frozenset(string.ascii_letters + string.digits + "._-")
OTHERS = [character for character in (*map(chr, range(32, 127)), "è", "模") if character not in PLAIN | set("/\\")]


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(LayoutError) as raised:
        check_layout(path, target="process")
    return raised.value.problems


def test_a_folder_s_name_has_plain_characters_alone(tmp_path: Path) -> None:
    for number, character in enumerate(OTHERS):
        onnx_models.save_scaling(tmp_path / "triton" / f"m{number}{character}x" / "1", 2)
    told = problems(tmp_path)
    assert len(told) == len(OTHERS)
    for number, character in enumerate(OTHERS):
        (line,) = (line for line in told if line.startswith(f"triton/m{number}{character}x: the name has "))
        assert ("a space" if character == " " else repr(character)) in line
        assert f"rename the folder, such as to '{plain(f'm{number}{character}x')}'" in line


def test_what_passes_is_one_word_to_a_shell() -> None:
    name = "".join(sorted(PLAIN))
    said = subprocess.run(["bash", "-c", f"printf '[%s]' {name}"], capture_output=True, text=True, check=True)
    assert said.stdout == f"[{name}]"


@pytest.mark.parametrize("target", ["process", "docker", "node-pool"])
@pytest.mark.parametrize(
    "setting",
    [
        'default_model_filename: "m$(touch pwned).onnx"',
        'cc_model_filenames { key: "9.0" value: "a;b.onnx" }',
        'instance_group [ { name: "a b" } ]',
        'backend: "python" parameters { key: "EXECUTION_ENV_PATH" value { string_value: "/tmp/`id`" } }',
    ],
)
def test_a_setting_that_reaches_the_shell_is_refused_by_name(tmp_path: Path, setting: str, target: str) -> None:
    model(tmp_path / "triton" / "m", f"{BATCHED} {setting}")
    (tmp_path / "triton" / "m" / "1" / "m$(touch pwned).onnx").write_bytes(b"x")
    python_file(tmp_path / "triton" / "m" / "1")
    with pytest.raises(LayoutError) as raised:
        check_layout(tmp_path, target=target)
    assert any("puts it on a shell's command line; rename it" in line for line in raised.value.problems)


def test_the_environment_of_a_python_model_may_be_named_by_its_own_folder(tmp_path: Path) -> None:
    packed = "$$TRITON_MODEL_DIRECTORY/packed.tar.gz"
    config = f'backend: "python" parameters {{ key: "EXECUTION_ENV_PATH" value {{ string_value: "{packed}" }} }}'
    model(tmp_path / "triton" / "m", config)
    python_file(tmp_path / "triton" / "m" / "1")
    (tmp_path / "triton" / "m" / "packed.tar.gz").touch()
    assert check_layout(tmp_path, target="process").models[0].backend == "python"


def test_a_model_in_onnx_brings_no_program_that_triton_would_run(tmp_path: Path) -> None:
    environment = 'parameters { key: "EXECUTION_ENV_PATH" value { string_value: "/tmp/packed" } }'
    model(tmp_path / "triton" / "m", f"{BATCHED} {environment}")
    stub = tmp_path / "triton" / "m" / "triton_python_backend_stub"
    stub.write_text("#!/bin/sh\n")
    stub.chmod(0o755)
    assert [line.partition(";")[0] for line in problems(tmp_path)] == [
        "triton/m/triton_python_backend_stub: Triton would run it in the place of its own, for a model in ONNX",
        "triton/m/config.pbtxt: parameter EXECUTION_ENV_PATH is for models in Python alone",
    ]


def test_a_file_of_the_model_s_name_leaves_no_version_s_folder(tmp_path: Path) -> None:
    model(tmp_path / "triton" / "m", f'{BATCHED} default_model_filename: "../1/model.onnx"')
    assert any("which leaves the version's folder" in line for line in problems(tmp_path))
