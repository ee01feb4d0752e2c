"""A version of the service as a resource: kept once, found again, pruned, and refused where it is another one's."""

import subprocess
from pathlib import Path

import pytest

from bundle.registry import RegistryError
from bundle.service_versions import ServiceVersions
from provider.deployer import branch_of, commit_of, deployer
from provider.resource_type import resource_type
from provider.resources.service_version import OtherContentError
from tests.provider.asking import changes, create, update

KIND = "ServiceVersion"


@pytest.fixture
def inputs(tmp_path):
    """The inputs of a service with a script and a lock."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "score.py").write_text("def init(): ...\n")
    (tmp_path / "lock.txt").write_text("nltk==3.9.1\n")
    return {
        "registry": str(tmp_path / "registry"),
        "project": "p",
        "stack": "s",
        "service": "web",
        "content": {
            "models": [{"name": "m", "version": 1, "digest": "sha256:1"}],
            "script": {"file": "score.py", "digest": "d"},
            "environment": {"name": "Mine", "clone": "AzureML-Triton", "pipPackages": ["nltk"]},
            "resources": {"cpuCores": 1},
        },
        "environment": "e" * 64,
        "source": str(tmp_path / "scripts"),
        "lockFiles": [str(tmp_path / "lock.txt")],
        "passed": ["probe", "replay"],
        "passedFirst": ["probe"],
        "checks": 5,
        "kept": 2,
    }


def versions(inputs):
    return ServiceVersions(inputs["registry"], project="p", stack="s", service="web")


def changed(inputs, cores):
    return {**inputs, "content": {**inputs["content"], "resources": {"cpuCores": cores}}}


def test_a_version_has_content_script_and_locks_and_says_who_made_it(inputs):
    said: list[str] = []
    made = create(KIND, inputs, said)
    assert (made["number"], said) == (1, ["this is version 1 of the service"])
    (version,) = versions(inputs).every()
    assert sorted(file.path for file in version.registered.manifest.files) == [
        "content.json",
        "locks/lock.txt",
        "source.zip",
    ]
    assert (version.facts.by, version.facts.passed) == (deployer(), "probe, smoke check (5)")


def test_an_update_with_other_content_is_the_next_version_and_says_what_it_passed_beside_the_old(inputs):
    known = create(KIND, inputs)
    news = changed(inputs, 2)
    assert changes(KIND, inputs, known, news)
    assert update(KIND, inputs, known, news)["number"] == 2
    assert versions(inputs).find(2).facts.passed == "probe, replay, smoke check (5)"


def test_how_the_same_content_came_to_serve_is_no_change(inputs):
    known = create(KIND, inputs)
    news = {**inputs, "source": "/elsewhere", "lockFiles": [], "checks": 6, "passed": ["probe"]}
    assert not changes(KIND, inputs, known, news)


def test_a_changed_lock_changes_the_environment_and_is_another_version(inputs, tmp_path):
    known = create(KIND, inputs)
    (tmp_path / "lock.txt").write_text("nltk==3.9.2\n")
    news = {**inputs, "environment": "f" * 64}
    assert changes(KIND, inputs, known, news)
    assert update(KIND, inputs, known, news)["number"] == 2


def test_a_lock_that_is_gone_is_said_and_the_version_kept_without(inputs, tmp_path):
    (tmp_path / "lock.txt").unlink()
    said: list[str] = []
    create(KIND, inputs, said)
    assert said[0].startswith("the version has no lock of its packages: ")


def test_old_versions_go_but_the_one_that_serves(inputs):
    known = create(KIND, inputs)
    for cores in (2, 3, 4):
        known = update(KIND, inputs, known, changed(inputs, cores))
    assert [version.number for version in versions(inputs).every()] == [3, 4]
    third = {**changed(inputs, 3), "version": 3, "kept": 1}
    assert update(KIND, inputs, known, third)["number"] == 3
    assert [version.number for version in versions(inputs).every()] == [3, 4]


def test_while_another_version_has_a_share_of_the_traffic_the_one_that_serves_stays(inputs):
    known = create(KIND, inputs)
    shared = {**changed(inputs, 2), "behind": True, "kept": 1}
    assert changes(KIND, inputs, known, shared)
    assert update(KIND, inputs, known, shared) == known
    assert [version.number for version in versions(inputs).every()] == [1]
    assert not changes(KIND, shared, known)
    taken_back, promoted = (update(KIND, shared, known, news) for news in (inputs, changed(inputs, 2)))
    assert (taken_back["number"], promoted["number"]) == (1, 2)


def test_a_stack_that_begins_to_keep_versions_beside_a_share_finds_the_one_that_serves(inputs):
    shared = {**changed(inputs, 2), "behind": True}
    assert create(KIND, shared).get("number") is None
    known = create(KIND, inputs)
    found = create(KIND, shared)
    assert found == known
    assert not changes(KIND, shared, found)


def test_another_count_of_versions_prunes(inputs):
    known = create(KIND, inputs)
    known = update(KIND, inputs, known, changed(inputs, 2))
    fewer = {**changed(inputs, 2), "kept": 1}
    assert changes(KIND, changed(inputs, 2), known, fewer)
    assert update(KIND, changed(inputs, 2), known, fewer) == known
    assert [version.number for version in versions(inputs).every()] == [2]


def test_a_version_by_its_number_is_that_version_whatever_its_locks_became(inputs, tmp_path):
    create(KIND, inputs)
    second = create(KIND, changed(inputs, 2))
    (tmp_path / "lock.txt").write_text("nltk==3.9.1 # on another Python\n")
    before = versions(inputs).find(1)
    assert update(KIND, changed(inputs, 2), second, {**inputs, "version": 1})["number"] == 1
    after = versions(inputs).find(1)
    assert after.facts.deployed > before.facts.deployed
    assert after.registered.manifest == before.registered.manifest


@pytest.mark.parametrize(("version", "has"), [(1, "which has m:1"), (9, "which does not exist")])
def test_a_program_that_names_a_version_and_declares_other_things_is_refused_while_it_is_planned(inputs, version, has):
    create(KIND, inputs)
    kind = resource_type(KIND)
    models = [{"name": "m", "version": 2, "digest": "sha256:2"}]
    other = {**inputs, "version": version, "content": {**inputs["content"], "models": models}}
    with pytest.raises(OtherContentError, match=f"deployment.version is {version}, {has}, .* declares m:2") as told:
        kind.check(kind.inputs.model_validate(other))
    assert "\n" not in str(told.value)
    kind.check(kind.inputs.model_validate({**inputs, "version": 1}))


def test_a_version_that_somebody_removed_is_kept_again(inputs, tmp_path):
    known = create(KIND, inputs)
    assert not changes(KIND, inputs, known)
    (tmp_path / "registry/.services/p/s/web/1/manifest.json").unlink()
    assert changes(KIND, inputs, known)
    assert update(KIND, inputs, known)["number"] == 2


def test_a_registry_that_cannot_be_written_is_told_with_the_way_out(inputs, tmp_path):
    (tmp_path / "registry").write_text("a file")
    with pytest.raises(RegistryError, match=r"the service serves, and its version cannot be kept: .*versionsKept to 0"):
        create(KIND, inputs)


def test_a_damaged_version_is_restored(inputs, tmp_path):
    known = create(KIND, inputs)
    (tmp_path / "registry/.services/p/s/web/1/files/content.json").unlink()
    assert changes(KIND, inputs, known)
    assert update(KIND, inputs, known) == known
    assert not changes(KIND, inputs, known)


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_the_commit_and_branch_are_those_of_the_project_where_it_is_a_repository(tmp_path):
    assert (commit_of(tmp_path), branch_of(tmp_path)) == ("", "")
    git(tmp_path, "init", "--initial-branch", "trunk")
    assert commit_of(tmp_path) == ""
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--message", "one")
    commit = commit_of(tmp_path)
    assert (len(commit), branch_of(tmp_path)) == (12, "trunk")
    (tmp_path / "new").write_text("not part of it")
    assert commit_of(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert commit_of(tmp_path) == f"{commit}+"
    git(tmp_path, "checkout", "--detach")
    assert branch_of(tmp_path) == ""


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (commit_of(tmp_path), branch_of(tmp_path)) == ("", "")
