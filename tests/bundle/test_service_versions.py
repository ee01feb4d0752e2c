"""Versions of a service in a registry: the same content is the same version, and no number is given twice."""

import threading
from pathlib import Path

import fsspec
import pytest

from bundle.registry import Registry, RegistryError
from bundle.service_versions import Facts, ServiceVersions

ANN = Facts(by="ann@host", commit="0123456789ab", branch="main", passed="probe, smoke check (3)")
BEN = Facts(by="ben@host")


@pytest.fixture(params=["directory", "memory"])
def url(request, tmp_path):
    if request.param == "directory":
        yield str(tmp_path / "registry")
    else:
        yield f"memory://{tmp_path.name}"
        fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


@pytest.fixture
def versions(url):
    return of(url)


def of(url: str, stack: str = "s") -> ServiceVersions:
    return ServiceVersions(url, project="p", stack=stack, service="web")


def content(text: str) -> dict[str, bytes | Path]:
    return {"content.json": text.encode(), "locks/a.txt": b"nltk==3.9.1\n"}


def test_the_same_content_is_the_same_version_with_its_first_facts(versions):
    first = versions.keep(content("A"), ANN)
    second = versions.keep(content("B"), BEN)
    again = versions.keep(content("A"), BEN)
    assert [version.number for version in (first, second, again)] == [1, 2, 1]
    assert again.digest == first.digest != second.digest
    assert (again.facts.by, again.facts.commit, again.created) == (ANN.by, ANN.commit, first.created)
    assert again.facts.deployed > second.facts.deployed > first.facts.deployed
    assert [version.number for version in versions.every()] == [1, 2]


def test_a_file_of_this_machine_is_kept_like_bytes(versions, tmp_path):
    (tmp_path / "source.zip").write_bytes(b"zip")
    version = versions.keep({"source.zip": tmp_path / "source.zip"}, ANN)
    assert versions.keep({"source.zip": b"zip"}, ANN).number == version.number
    assert versions.read(version, "source.zip") == b"zip"


def test_a_version_is_found_by_its_number_alone(versions):
    kept = versions.keep(content("A"), ANN)
    assert versions.find(1) == kept
    assert versions.find(2) is None


def test_a_version_that_is_deployed_again_is_the_last_one(versions):
    first = versions.keep(content("A"), ANN)
    second = versions.keep(content("B"), BEN)
    versions.mark_deployed(first)
    assert versions.find(1).facts.deployed > second.facts.deployed
    assert versions.find(1).facts.by == "ann@host"


def test_a_stack_does_not_see_the_versions_of_another_and_no_model_has_their_name(url, versions):
    versions.keep(content("A"), ANN)
    assert of(url, "other").every() == []
    with pytest.raises(RegistryError, match="not valid"):
        Registry(url).get(".services")
    with pytest.raises(RegistryError, match="is not registered"):
        Registry(url).get("web")


def test_old_versions_go_and_numbers_are_not_given_twice(versions):
    for text in "ABCDE":
        versions.keep(content(text), ANN)
    assert versions.prune(2, serving=1) == [2, 3]
    assert [version.number for version in versions.every()] == [1, 4, 5]
    assert versions.prune(2, serving=1) == []
    assert versions.keep(content("B"), ANN).number == 6
    assert versions.prune(1, serving=6) == [1, 4, 5]
    assert versions.keep(content("G"), ANN).number == 7


def test_nothing_of_a_version_that_went_is_left(versions, url, tmp_path):
    versions.keep(content("A"), ANN)
    versions.keep(content("B"), ANN)
    versions.prune(1, serving=2)
    filesystem, root = fsspec.core.url_to_fs(url)
    left = [path for path in filesystem.find(root) if "lock" not in path.rpartition("/")[2]]
    assert len([path for path in left if path.endswith("content.json")]) == 1
    assert len([path for path in left if path.endswith("manifest.json")]) == 1


def test_writers_and_one_who_prunes_at_once_leave_whole_versions(url):
    """Eight write ten contents each, most of them shared, while another prunes."""
    failed: list[Exception] = []
    over = threading.Event()

    def write(number: int) -> None:
        try:
            for text in range(10):
                of(url).keep(content(f"{text if text % 3 else f'{number} {text}'}"), Facts(by=f"w{number}"))
        except Exception as error:
            failed.append(error)

    def prune() -> None:
        while not over.is_set():
            try:
                of(url).prune(200, serving=1)
                of(url).every()
            except Exception as error:
                failed.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    pruner = threading.Thread(target=prune)
    for thread in (*writers, pruner):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    pruner.join()
    assert failed == []
    every = of(url).every()
    assert len({version.digest for version in every}) == len(every) == 6 + 8 * 4
    assert [version.number for version in every] == list(range(1, len(every) + 1))
    for version in every:
        assert of(url).find(version.number) == version


def test_a_changed_version_is_refused_by_name(tmp_path):
    versions = of(str(tmp_path))
    version = versions.keep(content("A"), ANN)
    file = tmp_path / ".services/p/s/web/1/files/content.json"
    file.chmod(0o644)
    file.write_bytes(b"Z")
    with pytest.raises(RegistryError, match="was kept; deploy another version"):
        versions.read(version, "content.json")
    with pytest.raises(RegistryError, match=r"content\.json"):
        versions.find(1)
    with pytest.raises(RegistryError, match="is not part of the version"):
        versions.read(version, "other")
