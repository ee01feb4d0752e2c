"""Files that a configuration names are there, and hold what Triton will look for in them."""

import struct
from pathlib import Path

import pytest

from bundle.layout import check_layout
from bundle.problems import LayoutError
from tests.bundle.bundles import BATCHED, model, python_file


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(LayoutError) as raised:
        check_layout(path, target="process")
    return raised.value.problems


SPOUSE = "the accused\u2019s spouse"  # more bytes than characters


def environment(place: str) -> str:
    return f'backend: "python" parameters {{ key: "EXECUTION_ENV_PATH" value {{ string_value: "{place}" }} }}'


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("$$TRITON_MODEL_DIRECTORY/env.tar.gz", "which is missing; expected it at triton/m/env.tar.gz; add it or"),
        ("$$TRITON_MODEL_DIRECTORY/m/packed.tar.gz", "at triton/m/m/packed.tar.gz; move triton/m/packed.tar.gz there"),
        ("$$TRITON_MODEL_DIRECTORY/../../env.tar.gz", "which is missing; expected it at env.tar.gz; add it or"),
        ("packed.tar.gz", "an absolute path, or '$$TRITON_MODEL_DIRECTORY/packed.tar.gz'; change it"),
        ("/nowhere/env.tar.gz", "which is not on this machine; correct it, or put the file into triton/m"),
    ],
)
def test_an_environment_that_is_not_there_is_told_at_preview(tmp_path: Path, place: str, expected: str) -> None:
    model(tmp_path / "triton" / "m", environment(place))
    python_file(tmp_path / "triton" / "m" / "1")
    (tmp_path / "triton" / "m" / "packed.tar.gz").touch()
    (line,) = problems(tmp_path)
    assert line.startswith(f"triton/m/config.pbtxt: parameter EXECUTION_ENV_PATH names '{place}', ")
    assert expected in line


def test_an_absolute_place_may_be_in_an_image(tmp_path: Path) -> None:
    model(tmp_path / "triton" / "m", environment("/nowhere/env.tar.gz"))
    python_file(tmp_path / "triton" / "m" / "1")
    assert check_layout(tmp_path, target="docker").models[0].backend == "python"


def warmed(folder: Path, datatype: str, content: bytes) -> None:
    warm = f'{{ data_type: {datatype} dims: [ 2 ] input_data_file: "raw" }}'
    config = BATCHED.replace("FP32", datatype.removeprefix("TYPE_"))
    model(
        folder,
        f'{config} backend: "python" model_warmup [ {{ name: "w" batch_size: 1 inputs {{ key: "x" value {warm} }} }} ]',
    )
    python_file(folder / "1")
    (folder / "warmup").mkdir()
    (folder / "warmup" / "raw").write_bytes(content)


def text(value: str, length: int | None = None) -> bytes:
    data = value.encode()
    return struct.pack("<I", len(data) if length is None else length) + data


@pytest.mark.parametrize(
    ("datatype", "content", "expected"),
    [
        ("TYPE_FP32", bytes(7), "triton/m/warmup/raw has 7 bytes; expected 8: plain numbers"),
        ("TYPE_INT64", bytes(8), "triton/m/warmup/raw has 8 bytes; expected 16: plain numbers"),
        ("TYPE_STRING", text("one"), "triton/m/warmup/raw does not hold that many strings (2); expected of each its"),
        ("TYPE_STRING", text("one") + text(SPOUSE, len(SPOUSE)), "does not hold that many strings (2)"),
        ("TYPE_STRING", b"plain text", "does not hold that many strings (2)"),
    ],
)
def test_data_that_would_fail_a_warmup_are_told_at_preview(
    tmp_path: Path, datatype: str, content: bytes, expected: str
) -> None:
    warmed(tmp_path / "triton" / "m", datatype, content)
    (line,) = problems(tmp_path)
    assert line.startswith("triton/m/config.pbtxt: model_warmup 'w' gives 'x' dims [2], and ")
    assert expected in line


@pytest.mark.parametrize(
    ("datatype", "content"),
    [
        ("TYPE_FP32", bytes(8)),
        ("TYPE_FP32", bytes(9)),  # Triton takes the first eight
        ("TYPE_STRING", text("one") + text(SPOUSE)),
        ("TYPE_STRING", text("") + text("")),
    ],
)
def test_data_that_a_warmup_can_use_are_taken(tmp_path: Path, datatype: str, content: bytes) -> None:
    warmed(tmp_path / "triton" / "m", datatype, content)
    assert check_layout(tmp_path, target="process").models
