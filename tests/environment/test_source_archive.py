"""A source directory as one file, the same for the same files, and back again with all that its digest covers."""

import os
from pathlib import Path

import pytest

from environment.source_archive import pack, unpack
from environment.source_digest import digest_of


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "scripts"
    (folder / "package").mkdir(parents=True)
    (folder / "score.py").write_text("def init(): ...\n")
    (folder / "package" / "Größe.txt").write_text("x" * 5000)
    (folder / "notes~").write_text("an editor's")
    (folder / "tool.sh").write_text("#!/bin/sh\n")
    (folder / "tool.sh").chmod(0o755)
    (folder / "empty").touch()
    (folder / "linked.py").symlink_to("score.py")
    (folder / ".env").write_text("SECRET=1")
    return folder


def packed(folder: Path, file: Path) -> bytes:
    pack(folder, file)
    return file.read_bytes()


def test_it_comes_back_with_the_same_digest(source: Path, tmp_path: Path) -> None:
    content = packed(source, tmp_path / "a.zip")
    unpack(content, tmp_path / "back", digest_of(source))
    assert digest_of(tmp_path / "back") == digest_of(source)
    assert os.access(tmp_path / "back" / "tool.sh", os.X_OK)
    assert not (tmp_path / "back" / ".env").exists()


def test_the_same_files_make_the_same_bytes_whenever_they_were_written(source: Path, tmp_path: Path) -> None:
    first = packed(source, tmp_path / "a.zip")
    for file in source.iterdir():
        os.utime(file, (1, 1))
    assert packed(source, tmp_path / "b.zip") == first
    (source / "tool.sh").chmod(0o644)
    assert packed(source, tmp_path / "c.zip") != first


def test_a_folder_that_somebody_changed_is_made_anew_and_a_whole_one_stays(source: Path, tmp_path: Path) -> None:
    content, back = packed(source, tmp_path / "a.zip"), tmp_path / "back"
    unpack(content, back, digest_of(source))
    made = back.stat().st_ino
    unpack(content, back, digest_of(source))
    assert back.stat().st_ino == made
    (back / "score.py").write_text("another\n")
    unpack(content, back, digest_of(source))
    assert digest_of(back) == digest_of(source)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
