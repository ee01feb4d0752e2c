"""Declares what the stack's configuration lists, so that one program serves every test."""

from typing import Any

import pulumi
from thing import Group, Thing

config = pulumi.Config()
things: dict[str, Thing] = {}


def inputs(entry: dict[str, Any]) -> dict[str, Any]:
    """The thing's properties; `from` takes its value, and `secret` its token, from elsewhere."""
    props = {key: entry[key] for key in ("kind", "value", "slow", "slow_read", "fail", "delete_first") if key in entry}
    if "from" in entry:
        props["value"] = things[entry["from"]].echo
    if "source" in entry:
        props["source"] = things[entry["source"]].echo
    if entry.get("secret"):
        props["token"] = config.require_secret("token")
    return props


def options(entry: dict[str, Any]) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(
        depends_on=[things[name] for name in entry.get("after", [])],
        protect=entry.get("protect"),
        ignore_changes=entry.get("ignore"),
        replace_on_changes=entry.get("replace_on"),
        delete_before_replace=entry.get("delete_before_replace"),
        aliases=[pulumi.Alias(name=name) for name in entry.get("aliases", [])] or None,
        additional_secret_outputs=entry.get("hide"),
        retain_on_delete=entry.get("retain"),
        import_=entry.get("import"),
        deleted_with=things[entry["deleted_with"]] if "deleted_with" in entry else None,
        custom_timeouts=pulumi.CustomTimeouts(create=entry["timeout"]) if "timeout" in entry else None,
    )


for entry in config.require_object("things"):
    name = entry["name"]
    if "members" in entry:
        for member, thing in Group(name, entry["members"], options(entry)).things.items():
            things[f"{name}/{member}"] = thing
    else:
        things[name] = Thing(name, inputs(entry), options(entry))
    if entry.get("print"):
        print(entry["print"])
        pulumi.log.warn(entry["print"])
    if entry.get("export"):
        pulumi.export(name, things[name].echo)
provider: pulumi.ProviderResource | None = None
if settings := config.get_object("provider"):
    provider = pulumi.ProviderResource("fake", "provider", settings)
for item_name, entry in {"item": config.get_object("item"), **config.get_object("items", {})}.items():
    if entry:
        timeouts = pulumi.CustomTimeouts(create=entry.pop("timeout", None))
        item_options = pulumi.ResourceOptions(provider=provider, custom_timeouts=timeouts)
        item = pulumi.CustomResource("fake:index:Item", item_name, {**entry, "region": None}, item_options)
        if item_name == "item":
            pulumi.export("region", item.region)
if pair := config.get_object("pair"):
    import pairs

    pairs.declare(pair, config)
if config.get_bool("hook"):
    hook = pulumi.ResourceHook("hook", lambda _: None)
    Thing("hooked", {}, pulumi.ResourceOptions(hooks=pulumi.ResourceHookBinding(before_create=[hook])))
if config.get_bool("replace_with"):
    first = Thing("first", {}, pulumi.ResourceOptions())
    Thing("second", {}, pulumi.ResourceOptions(replace_with=[first]))
if asset := config.get("asset"):
    pulumi.CustomResource("fake:index:Item", "asset", {"file": pulumi.FileAsset(asset)})
if config.get_bool("raise"):
    raise ValueError("the program is unwell")
if reference := config.get("reference"):
    other = pulumi.StackReference(reference)
    pulumi.export("seen", other.get_output("token"))
if config.get("token"):
    pulumi.export("token", config.require_secret("token"))
pulumi.export("nested", {"list": [1, 2.5, True, None, "text"], "things": list(things)})
