"""The names by which rules read the provider's resources are the provider's."""

import json

import pytest

from gateway.listener import KEYS
from gateway.routes import RATE_LIMIT
from policies import objects, properties
from provider.package_schema import schema
from targets.node_pool.object_names import FRONT_DOOR

RESOURCES = json.loads(schema("0"))


def described(kind, path):
    """Whether the schema describes a path of properties."""
    tree = RESOURCES["resources"][f"{properties.PREFIX}{kind}"]["inputProperties"]
    for name in path:
        if name not in tree:
            return False
        reference = tree[name].get("$ref", "").removeprefix("#/types/")
        tree = RESOURCES["types"].get(reference, {}).get("properties", {})
    return True


@pytest.mark.parametrize("target", ["Process", "Docker"])
def test_front_doors_and_services_have_the_properties(target):
    for path in (
        properties.AUTH_ENABLED,
        properties.PUBLIC,
        properties.CERTIFICATE_FILE,
        properties.MAX_REQUESTS_PER_SECOND,
    ):
        assert described(f"{target}FrontDoor", path), path
    for path in (properties.OVERWRITE, properties.VARIABLES):
        assert described(f"{target}Service", path), path


def test_the_others_have_the_properties():
    assert described("DockerService", properties.IMAGE)
    assert described("EnvironmentVenv", properties.PIP_PACKAGES)
    assert described("EnvironmentContext", properties.PIP_PACKAGES)
    assert described("RegisteredModel", properties.REGISTRY)


def test_envoys_filters_and_the_components_label_have_their_names():
    assert (objects.KEYS_FILTER, objects.RATE_LIMIT_FILTER, objects.FRONT_DOOR) == (KEYS, RATE_LIMIT, FRONT_DOOR)
