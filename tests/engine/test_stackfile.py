"""A stack's settings file: read as the CLI reads it, and edited without touching the rest."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import yaml

from engine.errors import EngineError
from engine.state.stack_file import StackFile

TEXT = """\
# top
config:
  # the port
  p:port: 6789   # here
  p:models:
    # first
    - path: a
      name: b
  p:on: on

# tail
"""


@pytest.fixture
def file(tmp_path: Path) -> StackFile:
    path = tmp_path / "Pulumi.s.yaml"
    path.write_text(TEXT)
    return StackFile(path, "p")


def text(file: StackFile) -> str:
    file.write()
    return file.path.read_text()


def test_values_reach_the_program_as_the_cli_passes_them(file: StackFile) -> None:
    values = file.configuration(str).values
    assert values == {"p:port": "6789", "p:models": '[{"name":"b","path":"a"}]', "p:on": "on"}


def test_what_yaml_has_no_json_for_reaches_the_program_as_the_cli_passes_it(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.s.yaml"
    path.write_text("config:\n  p:a: 1e-7\n  p:b: [0123, 1e3, 2020-01-02, 1.50, 0.00001, '<&>', {c: ~}]\n  p:c: 1e21\n")
    assert StackFile(path, "p").configuration(str).values == {
        "p:a": "1e-7",
        "p:b": '[83,1000,"2020-01-02 00:00:00 +0000 UTC",1.5,0.00001,"\\u003c\\u0026\\u003e",{"c":null}]',
        "p:c": "1e+21",
    }
    path.write_text("config:\n  p:a: .inf\n")
    with pytest.raises(EngineError, match=r"'\.inf' is not finite, which Pulumi's configuration cannot hold"):
        StackFile(path, "p")


def test_a_change_leaves_comments_and_other_entries_alone(file: StackFile) -> None:
    file.set("port", "1")
    assert text(file) == TEXT.replace("6789   # here", '"1"')


NESTED = """\
config:
  p:deployment: # where
    target: process # process or docker
    rollout:
      # a minute
      drainSeconds: 60

  p:flow: {a: 1, b: 2} # short
"""


@pytest.fixture
def nested(tmp_path: Path) -> StackFile:
    path = tmp_path / "Pulumi.n.yaml"
    path.write_text(NESTED)
    return StackFile(path, "p")


def test_a_change_within_a_group_leaves_its_comments_alone(nested: StackFile) -> None:
    nested.set("deployment.version", 7, path=True)
    added = NESTED.replace("drainSeconds: 60\n", "drainSeconds: 60\n    version: 7\n")
    assert text(nested) == added
    nested.set("deployment.rollout.drainSeconds", 5, path=True)
    nested.set("deployment.version", 6, path=True)
    assert text(nested) == added.replace("60", "5").replace("version: 7", "version: 6")
    nested.remove("deployment.version", path=True)
    assert text(nested) == NESTED.replace("60", "5")


def test_a_group_on_one_line_or_one_that_is_not_there_is_written_whole(nested: StackFile) -> None:
    nested.set("flow.b", 3, path=True)
    nested.set("new.a.b", 1, path=True)
    nested.remove("deployment.rollout.drainSeconds", path=True)
    nested.set("deployment.limits.most", 9, path=True)
    assert yaml.safe_load(text(nested)) == {
        "config": {
            "p:deployment": {"target": "process", "rollout": {}, "limits": {"most": 9}},
            "p:flow": {"a": 1, "b": 3},
            "p:new": {"a": {"b": 1}},
        }
    }


def test_a_new_key_and_the_salt_are_added(file: StackFile) -> None:
    file.set("new", {"secure": "v1:x"})
    file.set_salt("v1:s")
    expected = TEXT.replace("  p:on: on\n", "  p:on: on\n  p:new:\n    secure: v1:x\n") + "encryptionsalt: v1:s\n"
    assert text(file) == expected


def test_a_removed_key_takes_nothing_along(file: StackFile) -> None:
    assert file.remove("on")
    assert not file.remove("on")
    assert text(file) == TEXT.replace("  p:on: on\n", "")


def test_a_file_is_made_where_there_is_none(tmp_path: Path) -> None:
    file = StackFile(tmp_path / "stacks/Pulumi.s.yaml", "p")
    file.set("a", "true")
    file.remove("a")
    file.set("b[0].c", 1, path=True)
    assert text(file) == "config:\n  p:b:\n    - c: 1\n"


def test_what_is_added_has_the_layout_of_the_cli(tmp_path: Path) -> None:
    file = StackFile(tmp_path / "Pulumi.s.yaml", "p")
    file.set("a", ["true", "a: b", "two\nlines\n", {"c": ["d"]}])
    assert text(file) == (
        "config:\n  p:a:\n    - \"true\"\n    - 'a: b'\n    - |\n      two\n      lines\n    - c:\n        - d\n"
    )


PATHS = {"p:map": {"a": {"b": 1}, "l": [1]}, "p:list": [{"a": 1}], "p:text": "t", "p:secret": {"secure": "v1:x"}}


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("map[0]", r"map\[0\]: key for a map must be a string"),
        ("map.l.x", r"map\.l\.x: key for an array must be an int"),
        ("map.a.b.c", r"map\.a\.b: expected a map"),
        ("map.a.b[0]", r"map\.a\.b: expected an array"),
        ("map.l[2]", r"map\.l\[2\]: array index out of range: the list has 1"),
        ("list.a", r"list\.a: key for an array must be an int"),
        ("new.secure", r"new\.secure: .*marks an encrypted value"),
    ],
)
def test_a_path_that_does_not_fit_what_there_is_is_refused(tmp_path: Path, path: str, what: str) -> None:
    (tmp_path / "Pulumi.s.yaml").write_text(yaml.safe_dump({"config": PATHS}))
    file = StackFile(tmp_path / "Pulumi.s.yaml", "p")
    with pytest.raises(EngineError, match=f"could not set config: .*{what}"):
        file.set(path, "3", path=True)
    assert file.config == PATHS


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ("map.l[1]", "p:map", {"a": {"b": 1}, "l": [1, "3"]}),
        ("text.a", "p:text", {"a": "3"}),
        ("secret.a", "p:secret", {"a": "3"}),
        ("new[2]", "p:new", [None, None, "3"]),
        ('new["a.b"][0]', "p:new", {"a.b": ["3"]}),
    ],
)
def test_a_path_makes_what_is_missing(tmp_path: Path, path: str, key: str, value: object) -> None:
    (tmp_path / "Pulumi.s.yaml").write_text(yaml.safe_dump({"config": PATHS}))
    file = StackFile(tmp_path / "Pulumi.s.yaml", "p")
    file.set(path, "3", path=True)
    assert file.config[key] == value


def test_what_is_left_of_a_map_is_not_taken_for_a_secret(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.s.yaml").write_text("config:\n  p:a: {secure: x, b: y}\n  p:s: {secure: v1:x}\n")
    file = StackFile(tmp_path / "Pulumi.s.yaml", "p")
    with pytest.raises(EngineError, match="marks an encrypted value"):
        file.remove("a.b", path=True)
    assert not file.remove("s.secure", path=True)


@pytest.mark.parametrize(
    "content",
    [
        "config: {p:a: 1, p:b: {c: 2}}\n",
        "config:\n    p:a: 1\n    p:b:\n        c: 2\n",
        "config: ~\n",
        "config:\n",
        "config:\n  p:a: &one {c: 2}\n  p:b: *one\n",
        "config:\n  p:b: {c: 2}\n...\n",
        "---\nconfig:\n  p:b:\n    c: 2 # two\n  ? p:a\n  : 1\n",
        '"config":\n  "p:b": {"c": 2, "d": [1,\n 2]}\n',
        "config:\n  p:b: |\n    c\n\n  p:a: >-\n    x\n     y\n",
        "{}",
        "# nothing but this\n",
        "config:\n  p:b: {c: 2}\n# tail",
    ],
)
@pytest.mark.parametrize("value", ["v", "1e5", "0o17", "on", "a: b # c", "two\nlines\n", " x", "", "~", "1_0", ".5e3"])
def test_whatever_the_file_looks_like_a_change_changes_one_value(tmp_path: Path, content: str, value: str) -> None:
    path = tmp_path / "Pulumi.s.yaml"
    path.write_text(content)
    config = StackFile(path, "p").config
    edits: list[tuple[str, bool]] = [("a", False), ("new", False), ("b.c", True), ("new", False)]
    for number, (key, is_path) in enumerate(edits):
        file = StackFile(path, "p")
        if number == len(edits) - 1:
            assert file.remove(key)
            del config["p:new"]
        else:
            file.set(key, value, path=is_path)
            config[f"p:{key}"] = value
            if is_path:
                del config["p:b.c"]
                config["p:b"] = {**(config["p:b"] if isinstance(config.get("p:b"), dict) else {}), "c": value}
        file.write()
        assert StackFile(path, "p").config == config


def test_a_full_disk_leaves_the_file_as_it_was(file: StackFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    file.set("port", "1")
    with pytest.raises(OSError, match="No space left"):
        file.write()
    assert file.path.read_text() == TEXT
    assert list(file.path.parent.iterdir()) == [file.path]


def test_a_link_and_permissions_stay(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text(TEXT)
    (tmp_path / "real.yaml").chmod(0o640)
    (tmp_path / "link.yaml").symlink_to("real.yaml")
    file = StackFile(tmp_path / "link.yaml", "p")
    file.set("port", "1")
    file.write()
    assert file.path.is_symlink()
    assert '"1"' in (tmp_path / "real.yaml").read_text()
    assert (tmp_path / "real.yaml").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "content", ["config: [", "config: 3", "- a", "encryptionsalt: 5", "config: {5: x}", "config: {p:a: {1: x, b: y}}"]
)
def test_a_file_that_is_no_settings_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "Pulumi.s.yaml"
    path.write_text(content)
    with pytest.raises(EngineError, match=r"Pulumi\.s\.yaml"):
        StackFile(path, "p")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.s.yaml"
    path.write_bytes(b"config: \xff")
    with pytest.raises(EngineError, match=r"Pulumi\.s\.yaml' is not UTF-8 text"):
        StackFile(path, "p")
