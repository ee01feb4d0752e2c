import os
import stat
import threading
from pathlib import Path

import pytest

from targets.errors import ServiceError
from targets.process.service_folder import LONGEST_SOCKET_PATH, Generation, Record, ServiceDirectory, check_owner

OWNER, OTHER = "organization/project/prod", "organization/project/test"


@pytest.fixture
def service(tmp_path: Path) -> ServiceDirectory:
    return ServiceDirectory.of(tmp_path, "web")


def test_a_free_name_is_claimed_and_its_folders_are_the_owners_alone(service: ServiceDirectory) -> None:
    assert service.record() is None
    assert service.claim(OWNER, overwrite=False) == Record(owner=OWNER)
    assert service.record() == Record(owner=OWNER)
    for folder in (service.root, service.programs, service.logs, service.envoy):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_owner_claims_its_service_again_and_finds_what_runs(service: ServiceDirectory) -> None:
    record = Record(owner=OWNER, current=Generation(number=3, digest="d", scorer=5001), next_number=4, port=6789)
    service.claim(OWNER, overwrite=False)
    service.write_record(record)
    assert service.claim(OWNER, overwrite=False) == record


def test_another_stacks_service_is_not_taken_unless_it_may_be_overwritten(service: ServiceDirectory) -> None:
    service.claim(OWNER, overwrite=False)
    message = (
        f"serviceName 'web' is taken by the stack {OWNER}; choose another serviceName, or set deployment.overwrite to "
        "true to replace that service"
    )
    with pytest.raises(ServiceError) as refused:
        service.claim(OTHER, overwrite=False)
    assert str(refused.value) == message
    with pytest.raises(ServiceError, match="is taken by"):
        check_owner(service, OTHER, overwrite=False)
    assert service.record() == Record(owner=OWNER)

    check_owner(service, OTHER, overwrite=True)
    # Until the rollout has replaced it.
    assert service.claim(OTHER, overwrite=True).owner == OWNER


def test_two_changes_of_one_service_do_not_run_at_once(
    service: ServiceDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, leave = threading.Event(), threading.Event()

    def change() -> None:
        with service.locked():
            entered.set()
            leave.wait(30)

    assert not service.is_changing()
    first = threading.Thread(target=change)
    first.start()
    assert entered.wait(10)
    assert service.is_changing()
    monkeypatch.setattr("targets.machine.service_folder.LOCK_SECONDS", 0.1)
    with pytest.raises(ServiceError, match="service 'web' is being changed by another process"), service.locked():
        pass
    leave.set()
    first.join(10)
    with service.locked():
        pass


def test_sockets_of_a_long_path_lie_in_a_short_folder_of_their_own(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    services = [ServiceDirectory.of(deep, name) for name in ("one", "two")]
    for service in services:
        service.claim(OWNER, overwrite=False)
        assert len(os.fsencode(service.socket)) <= LONGEST_SOCKET_PATH
        assert len(os.fsencode(service.admin_socket)) <= LONGEST_SOCKET_PATH
        assert stat.S_IMODE(service.sockets.stat().st_mode) == 0o700
    assert services[0].sockets != services[1].sockets
    for service in services:
        service.remove()
        assert not service.sockets.exists()


def test_generations_are_listed_in_their_order(service: ServiceDirectory) -> None:
    for number in (2, 10, 1):
        service.generation(number).mkdir(parents=True)
    assert service.generation_numbers() == [1, 2, 10]
    service.remove_generation(2)
    assert service.generation_numbers() == [1, 10]


def test_a_generation_knows_its_programs_and_ports() -> None:
    both = Generation(number=7, digest="d", triton_http=1, triton_grpc=2, triton_metrics=3, scorer=4)
    assert (both.programs, both.ports) == (["triton-7", "scorer-7"], {1, 2, 3, 4})
    assert Generation(number=1, digest="d", scorer=4).programs == ["scorer-1"]


def test_nothing_is_left_of_a_removed_service_and_others_stay(tmp_path: Path) -> None:
    web, other = ServiceDirectory.of(tmp_path, "web"), ServiceDirectory.of(tmp_path, "other")
    for service in (web, other):
        service.claim(OWNER, overwrite=False)
    with web.locked():
        web.remove()
    assert sorted(path.name for path in (tmp_path / "services").iterdir()) == ["other"]
    other.remove()
    assert not (tmp_path / "services").exists()
