import shutil
from pathlib import Path

from targets.machine.state_place import place_of


def test_a_place_stays_what_it_is_when_its_directory_is_moved(tmp_path: Path) -> None:
    first = place_of(tmp_path / "a")
    assert first.startswith(f"{tmp_path / 'a'} (")
    assert place_of(tmp_path / "a") == first
    (tmp_path / "a").rename(tmp_path / "b")
    assert place_of(tmp_path / "b") == first
    # Whoever comes to the path after it is somebody else.
    assert place_of(tmp_path / "a") != first


def test_a_copy_has_another_place_and_keeps_it_when_the_original_is_gone(tmp_path: Path) -> None:
    first = place_of(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    copied = place_of(tmp_path / "b")
    assert copied != first
    shutil.rmtree(tmp_path / "a")
    assert place_of(tmp_path / "b") == copied


def test_what_is_left_of_a_directory_after_a_move_to_another_file_system_has_its_place(tmp_path: Path) -> None:
    first = place_of(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.rmtree(tmp_path / "a")
    assert place_of(tmp_path / "b") == first


def test_a_symbolic_link_leads_to_the_same_place(tmp_path: Path) -> None:
    first = place_of(tmp_path / "a")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert place_of(tmp_path / "link") == first
