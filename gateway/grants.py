"""What a client may ask for: a Lua script compares models and `/score` with the client's grants.

A call of gRPC names its models in messages, so its script looks at the answer too. HTTP routes have a filter of their
own, without a function for answers: Envoy would start a script for each, at 5 % of what a request costs a bare Envoy.

The grants come with the routes, as a table at the head of the script: Envoy would copy any other setting of a route for
each request. A client that the table does not know is refused, so a client whose grants are not in use yet gets
nothing.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.clients import DEFAULT, NAME_METADATA, Client
from gateway.request_guard import GUARD, REFUSED

GRANTS = "grants"
CALLS = "grants_of_calls"
DETAILS = "details"
"""The mark of a call whose answer the front door replaced, in the metadata named `GRANTS`: who gave the answer."""
SCORE = "/score"
_PLAIN = (string.ascii_letters + string.digits + "_.-/ ").encode()
_LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3"


def grants_filters() -> list[dict[str, Any]]:
    """Make the filters of HTTP requests and of calls, which act where the routes give them grants."""
    return [{"name": name, "disabled": True, "typed_config": {"@type": f"{_LUA}.Lua"}} for name in (GRANTS, CALLS)]


def granted(clients: Sequence[Client]) -> dict[str, Any]:
    """Make the grants of all routes, as settings of the filters; none where every client may ask for everything."""
    if all(client.models is None for client in clients):
        return {}
    namespace, key = NAME_METADATA
    constants = {"NAMESPACE": namespace, "NAME": key, "GUARD": GUARD, "REFUSED": REFUSED, "DETAILS": DETAILS}
    head = [f"local {name} = {_quoted(value)}" for name, value in constants.items()]
    script = "\n".join([*head, *_table(clients), _text("grants.lua")])
    scripts = {GRANTS: script, CALLS: script + _text("grants_of_calls.lua")}
    kind = f"{_LUA}.LuaPerRoute"
    return {name: {"@type": kind, "source_code": {"inline_string": text}} for name, text in scripts.items()}


def _text(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


def _table(clients: Sequence[Client]) -> list[str]:
    """Write the grants in Lua: `true` for everything, or a set. Clients with the same grants share one set."""
    sets: dict[tuple[str, ...], int] = {}
    known = {DEFAULT: "true"}
    for client in clients:
        if client.models is None:
            known[client.name] = "true"
        else:
            wanted = tuple(sorted({*client.models, *([SCORE] if client.score else [])}))
            known[client.name] = f"SETS[{sets.setdefault(wanted, len(sets) + 1)}]"
    return [
        "local SETS = {}",
        *(
            f"SETS[{number}] = {{{','.join(f'[{_quoted(name)}]=1' for name in wanted)}}}"
            for wanted, number in sets.items()
        ),
        "local GRANTS = {}",
        *(f"GRANTS[{_quoted(name)}] = {value}" for name, value in known.items()),
    ]


def _quoted(text: str) -> str:
    """Write a text in Lua, whatever it is made of."""
    safe = (chr(byte) if byte in _PLAIN else f"\\{byte:03}" for byte in text.encode())
    return f'"{"".join(safe)}"'
