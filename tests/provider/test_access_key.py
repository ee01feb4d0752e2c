from provider.resource_type import resource_type
from tests.provider.asking import changes, create, update

OWN_KEY = "a-key-of-the-users-own-0123456789"


def test_another_edition_makes_another_key_and_the_same_one_keeps_it():
    first = create("AccessKey", {"edition": 1})
    assert not changes("AccessKey", {"edition": 1}, first, {"edition": 1})
    assert changes("AccessKey", {"edition": 1}, first, {"edition": 2})
    assert update("AccessKey", {"edition": 1}, first, {"edition": 2})["key"] != first["key"]


def test_a_key_of_the_users_own_is_taken_as_it_is():
    assert create("AccessKey", {"edition": 1, "given": OWN_KEY}) == {"key": OWN_KEY}


def test_the_type_of_resource_holds_no_key():
    kind = resource_type("AccessKey")
    kind.create(kind.inputs(edition=1, given=OWN_KEY), print)
    assert vars(kind) == {}
