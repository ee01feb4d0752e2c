"""What is taken of a source folder: links are followed wherever they lead, and nothing is dropped in silence."""

import os
import shutil
from pathlib import Path

import pytest

from environment.source_digest import digest_of
from environment.source_folder import copy_source, read_source


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a script, linked files and folders inside and outside, and what tools leave."""
    source, shared = tmp_path / "scripts", tmp_path / "shared"
    for folder in (source / "inner", source / "build", source / "__pycache__", source / ".git", shared / "deep"):
        folder.mkdir(parents=True)
    for file in (
        source / "score.py",
        source / "inner/a.py",
        source / "build/b.py",
        shared / "deep/c.py",
        shared / "d.py",
    ):
        file.write_text(f"{file.name}")
    for file in (source / "__pycache__/x.pyc", source / ".git/config"):
        file.write_text("left out")
    (source / "linked").symlink_to(shared)
    (source / "d.py").symlink_to("../shared/d.py")
    (source / "again").symlink_to("inner")
    return source


FILES = ["again/a.py", "build/b.py", "d.py", "inner/a.py", "linked/d.py", "linked/deep/c.py", "score.py"]


def test_links_are_followed_and_those_that_leave_the_folder_are_told(source: Path, tmp_path: Path) -> None:
    found = read_source(source)
    assert sorted(map(str, found.files)) == FILES
    assert found.outside == {Path("linked"): tmp_path / "shared", Path("d.py"): tmp_path / "shared" / "d.py"}
    assert found.problems == {}


def test_a_copy_has_what_links_lead_to_and_the_same_digest(source: Path, tmp_path: Path) -> None:
    copy_source(source, tmp_path / "copy")
    assert not [path for path in (tmp_path / "copy").rglob("*") if path.is_symlink()]
    assert digest_of(tmp_path / "copy") == digest_of(source)
    before = digest_of(source)
    (tmp_path / "shared" / "deep" / "c.py").write_text("changed")
    assert digest_of(source) != before


def test_what_build_tools_leave_is_left_out_where_they_build(source: Path) -> None:
    (source / "pyproject.toml").touch()
    assert Path("build/b.py") not in read_source(source).files


def test_what_cannot_be_taken_is_a_problem(source: Path) -> None:
    (source / "gone").symlink_to("nowhere")
    (source / "self").symlink_to("self")
    (source / "inner" / "up").symlink_to("..")
    (source / "root").symlink_to("/")
    os.mkfifo(source / "pipe")
    (source / os.fsdecode(b"latin-\xe9.py")).touch()
    problems = read_source(source).problems
    assert {str(path): problem.partition(";")[0] for path, problem in problems.items()} == {
        "gone": "a link to 'nowhere', which leads nowhere",
        "self": "a link to 'self', which leads nowhere",
        "inner/up": "a link to '..', a folder that contains it",
        "again/up": "a link to '..', a folder that contains it",
        "root": "a link to '/', a folder that contains it",
        "pipe": "no regular file",
        os.fsdecode(b"latin-\xe9.py"): "the name is no UTF-8 text",
    }


def test_a_hundred_links_to_each_other_end(source: Path) -> None:
    shutil.rmtree(source)
    for name in ("a", "b"):
        (source / name).mkdir(parents=True)
        for other in range(50):
            (source / name / str(other)).symlink_to(source / ("b" if name == "a" else "a"))
    assert len(read_source(source).problems) == 5_000
