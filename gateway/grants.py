"""What a client may ask for: a Lua script compares models and `/score` with the client's grants.

The grants come with the routes: for each client a text in which its models stand between blanks. A client without such
a text is refused, so a client whose grants are not in use yet gets nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.clients import DEFAULT, NAME_METADATA, Client
from gateway.request_guard import GUARD, REFUSED

GRANTS = "grants"
ALL = "*"
SCORE = "/score"
_LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3"


def grants_filter() -> dict[str, Any]:
    """Make the filter, which acts where the routes give it grants."""
    namespace, key = NAME_METADATA
    constants = {"NAMESPACE": namespace, "NAME": key, "GUARD": GUARD, "REFUSED": REFUSED}
    text = "".join(f'local {name} = "{value}"\n' for name, value in constants.items())
    script = text + Path(__file__).with_name("grants.lua").read_text("utf-8")
    config = {"@type": f"{_LUA}.Lua", "source_codes": {GRANTS: {"inline_string": script}}}
    return {"name": GRANTS, "disabled": True, "typed_config": config}


def granted(clients: Sequence[Client]) -> dict[str, Any]:
    """Make the grants of all routes, as a filter's setting; none where every client may ask for everything."""
    if all(client.models is None for client in clients):
        return {}
    grants = {DEFAULT: ALL} | {client.name: _text(client) for client in clients}
    return {GRANTS: {"@type": f"{_LUA}.LuaPerRoute", "name": GRANTS, "filter_context": grants}}


def _text(client: Client) -> str:
    if client.models is None:
        return ALL
    return " ".join(("", *([SCORE] if client.score else []), *client.models, ""))
