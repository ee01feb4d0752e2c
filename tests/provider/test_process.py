import pytest

from targets.process.service_folder import ServiceDirectory
from tests.provider.asking import changes, read

HEALTHY = {"state": "Healthy", "problems": []}


@pytest.fixture
def service(tmp_path):
    """The inputs of a service that nobody started."""
    return {
        "serviceName": "web",
        "owner": "o",
        "stateDirectory": str(tmp_path),
        "bundles": [],
        "environmentPath": "/environments/e",
        "environmentDigest": "e" * 64,
        "resources": {},
        "limits": {},
        "rollout": {"drainSeconds": 5},
    }


def test_a_stopped_service_differs_although_nothing_was_changed(service):
    assert changes("ProcessService", service, HEALTHY)


def test_refresh_measures_the_state(service):
    assert read("ProcessService", service, HEALTHY)["state"] == "Stopped"


def test_a_service_that_another_stack_has_differs(service, tmp_path):
    ServiceDirectory.of(tmp_path, "web").claim("other", overwrite=False)
    assert read("ProcessService", service, HEALTHY)["problems"] == [
        "the stack other has it now; `make up` takes it back where deployment.overwrite is true"
    ]
    assert changes("ProcessService", service, HEALTHY)


def test_a_closed_door_differs_although_nothing_was_changed(tmp_path):
    door = {
        "serviceName": "web",
        "owner": "o",
        "stateDirectory": str(tmp_path),
        "shape": ["triton"],
        "opening": {},
        "limits": {},
        "resources": {},
        "primaryKey": "p" * 43,
        "secondaryKey": "s" * 43,
    }
    assert changes("ProcessFrontDoor", door, HEALTHY)
    assert read("ProcessFrontDoor", door, HEALTHY)["state"] == "Stopped"
