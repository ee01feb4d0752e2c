import pytest

from targets.machine.service_folder import overall


@pytest.mark.parametrize(
    ("serving", "front_door", "state"),
    [
        ("Healthy", "Healthy", "Healthy"),
        ("Healthy", "Stopped", "Unhealthy"),
        ("Unhealthy", "Healthy", "Unhealthy"),
        ("Stopped", "Stopped", "Stopped"),
    ],
)
def test_a_service_is_healthy_where_its_servers_and_its_front_door_are(serving, front_door, state):
    assert overall(serving, front_door) == state
