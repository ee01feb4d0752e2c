"""The guard: two Lua scripts in Envoy check inference requests before Triton reads them.

`json_guard.lua` checks the JSON of HTTP requests, `message_guard.lua` the lengths of messages in a gRPC stream. Each
script says why. Envoy's Lua filter can read bodies, is stable, and Envoy's security policy covers it for untrusted
requests.

A third script, `answer_guard.lua`, reads answers of Triton with status 500. Its filter is behind a matcher of Envoy's,
which passes all other answers by: a script that Envoy starts for each answer costs 5 % of a bare Envoy's request.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

GUARD = "guard"
ANSWERS = "answers"
INFER = "infer"
GENERATE = "generate"
MESSAGES = "messages"
REFUSED = "refused"

_LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3"
MAX_DEPTH = 200
"""Nested brackets: numpy ends at 64 dimensions, Triton's stack somewhere beyond 20,000."""


def guard(max_bytes: int) -> dict[str, Any]:
    """Make the HTTP filter, which acts only on routes that name one of its scripts; `max_bytes` bounds a message."""
    scripts = {
        INFER: _script("json_guard.lua", CHECK_SHAPES="true", MAX_DEPTH=MAX_DEPTH),
        # The fields of a `generate` request are the model's own names: an input may well be called "shape".
        GENERATE: _script("json_guard.lua", CHECK_SHAPES="false", MAX_DEPTH=MAX_DEPTH),
        MESSAGES: _script("message_guard.lua", MAX_BYTES=max_bytes),
    }
    return {
        "name": GUARD,
        "typed_config": {
            "@type": f"{_LUA}.Lua",
            "source_codes": {name: {"inline_string": text} for name, text in scripts.items()},
        },
    }


def answers() -> dict[str, Any]:
    """Make the HTTP filter that looks at answers with status 500, on the routes that turn it on."""
    status = {"@type": "type.googleapis.com/envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput"}
    skip = {"@type": "type.googleapis.com/envoy.extensions.filters.common.matcher.action.v3.SkipFilter"}
    is_500 = {"input": {"name": "status", "typed_config": status}, "value_match": {"exact": "500"}}
    others = {
        "predicate": {"not_matcher": {"single_predicate": is_500}},
        "on_match": {"action": {"name": "skip", "typed_config": skip}},
    }
    script = {"@type": f"{_LUA}.Lua", "default_source_code": {"inline_string": _script("answer_guard.lua")}}
    return {
        "name": ANSWERS,
        "disabled": True,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher",
            "extension_config": {"name": ANSWERS, "typed_config": script},
            "xds_matcher": {"matcher_list": {"matchers": [others]}},
        },
    }


def guarded(script: str) -> dict[str, Any]:
    """Make the setting of a route whose requests a script checks."""
    return {"@type": f"{_LUA}.LuaPerRoute", "name": script}


def _script(name: str, **constants: str | int) -> str:
    text = Path(__file__).with_name(name).read_text("utf-8")
    return "".join(f"local {constant} = {value}\n" for constant, value in constants.items()) + text
