from components.access_keys import AccessKeys, AccessKeysArgs
from tests.components.conftest import secrets_of

OWN_KEY = "a-key-of-the-users-own-0123456789"


def test_two_keys_are_children_named_after_their_parent(declare):
    seen = declare(lambda: AccessKeys("svc-keys", AccessKeysArgs()) and None).resources
    assert seen["svc-keys"].type == "triton:index:AccessKeys"
    for child in ("svc-keys-primary", "svc-keys-secondary"):
        assert seen[child].type == "triton:index:AccessKey"
        assert seen[child].parent == "svc-keys"


def test_keys_are_secret_in_outputs_and_in_state(declare):
    def keys():
        made = AccessKeys("svc-keys", AccessKeysArgs())
        return {"primary": made.primary, "secondary": made.secondary}

    declared = declare(keys)
    assert declared.secret == {"primary": True, "secondary": True}
    assert declared.resources["svc-keys-primary"].secret_outputs >= {"key", "given"}


def test_a_key_of_the_users_own_goes_in_as_a_secret(declare, settings_with):
    settings = settings_with(primaryKey=OWN_KEY)
    seen = declare(lambda: AccessKeys("svc-keys", AccessKeysArgs.of(settings, secrets_of(settings))) and None).resources
    assert seen["svc-keys-primary"].inputs["given"] == OWN_KEY
    assert seen["svc-keys-primary"].secrets == {"given"}
    assert "given" not in seen["svc-keys-secondary"].inputs


def test_each_client_has_two_keys_of_its_own_rotated_one_by_one(declare, settings_with):
    clients = [{"name": "checkout", "keyRotation": {"secondary": 3}}, {"name": "batch"}]
    settings = settings_with(clients=clients)

    def keys():
        made = AccessKeys("svc-keys", AccessKeysArgs.of(settings, secrets_of(settings)))
        return {"clients": made.by_client["checkout"]["primary"]}

    declared = declare(keys)
    made = {name: found.inputs["edition"] for name, found in declared.resources.items() if "edition" in found.inputs}
    assert made == {
        "svc-keys-primary": 1,
        "svc-keys-secondary": 1,
        "svc-keys-checkout-primary": 1,
        "svc-keys-checkout-secondary": 3,
        "svc-keys-batch-primary": 1,
        "svc-keys-batch-secondary": 1,
    }
    assert declared.secret == {"clients": True}


def test_a_client_that_proves_itself_otherwise_has_no_keys(declare, settings_with):
    jwt = {"issuer": "https://x", "audience": "triton", "jwksUri": "https://x/keys"}
    settings = settings_with(clients=[{"name": "nightly", "jwt": jwt}])
    seen = declare(lambda: AccessKeys("svc-keys", AccessKeysArgs.of(settings, secrets_of(settings))) and None).resources
    assert {name for name in seen if name.startswith("svc-keys-")} == {"svc-keys-primary", "svc-keys-secondary"}
