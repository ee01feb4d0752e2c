"""Who a request is from: the filter that knows each client by its key, its token or its certificate.

It is Envoy's RBAC filter, which is stable, passes nothing when it fails, and is covered by Envoy's security policy for
untrusted requests. Keys are looked up in a hash table, so 400 of them cost what two cost, and nobody finds a key of
`make_key` by measuring the time. The filter leaves the client's name in Envoy's metadata (`NAME_METADATA`), where no
client can write; the route makes the header `NAME_HEADER` of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.clients import DEFAULT, NONE, SCHEMES, Client, header_input
from gateway.issuers import METADATA as TOKENS
from gateway.issuers import Issuer, issuers
from gateway.keys import Keys

FILTER_TYPE = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
_INPUTS = "type.googleapis.com/envoy.extensions.matching.common_inputs"
_MATCHERS = "type.googleapis.com/envoy.extensions.matching.input_matchers"


def identity_filter(
    keys: Keys, clients: Sequence[Client] = (), client_keys: Mapping[str, Keys] | None = None
) -> dict[str, Any]:
    """Make the filter that passes known clients and answers 403 to others; the listener turns that into 401.

    Args:
        keys: The service's two keys.
        clients: The clients with a name of their own.
        client_keys: The keys of each client that has some, by the client's name.
    """
    found = {header: _is(DEFAULT) for header in _headers(keys)}
    for client in clients:
        if client.has_keys:
            known = _is(client.name)
            if client.certificate is not None:
                known = {"matcher": _by_subject([client])}
            found |= dict.fromkeys(_headers((client_keys or {})[client.name]), known)
    others = [{"predicate": _in_any_spelling(keys), "on_match": _is(DEFAULT)}]
    provider = {name: issuer for issuer in issuers(clients) for name in issuer.clients}
    others += [
        {"predicate": _by_token(provider[client.name], client), "on_match": _is(client.name)}
        for client in clients
        if client.jwt is not None
    ]
    listed: dict[str, Any] = {"matcher_list": {"matchers": others}}
    if shown := [client for client in clients if client.certificate is not None and not client.has_keys]:
        listed["on_no_match"] = {"matcher": _by_subject(shown)}
    else:
        listed["on_no_match"] = _nobody()
    matcher = {
        "matcher_tree": {"input": header_input("authorization"), "exact_match_map": {"map": found}},
        "on_no_match": {"matcher": listed},
    }
    return {"@type": FILTER_TYPE, "matcher": matcher}


def _headers(keys: Keys) -> list[str]:
    return [f"{scheme} {key}" for scheme in SCHEMES for key in (keys.primary, keys.secondary)]


def _is(name: str) -> dict[str, Any]:
    return _action(name, "ALLOW")


def _nobody() -> dict[str, Any]:
    return _action(NONE, "DENY")


def _action(name: str, action: str) -> dict[str, Any]:
    config = {"@type": "type.googleapis.com/envoy.config.rbac.v3.Action", "name": name, "action": action}
    return {"action": {"name": name, "typed_config": config}}


def _in_any_spelling(keys: Keys) -> dict[str, Any]:
    either = "|".join(map(re.escape, (keys.primary, keys.secondary)))
    pattern = {"google_re2": {}, "regex": f"(?i:bearer) (?:{either})"}
    return {"single_predicate": {"input": header_input("authorization"), "value_match": {"safe_regex": pattern}}}


def _by_token(issuer: Issuer, client: Client) -> dict[str, Any]:
    """Match the claims of a token that the filter of `issuers` has verified."""
    assert client.jwt is not None
    exact = {"string_match": {"exact": client.jwt.issuer}}
    claims = [_claim(issuer, "iss", exact)]
    for name, value in client.jwt.claims.items():
        word = {"string_match": {"safe_regex": {"regex": rf"(?:.* )?{re.escape(value)}(?: .*)?"}}}
        in_list = {"list_match": {"one_of": {"string_match": {"exact": value}}}}
        either = {"or_match": {"value_matchers": [word, in_list]}}
        spelled = _claim(issuer, name, either)
        path = name.split(".")
        # Some issuers nest their claims (`realm_access.roles`), and others have names with dots (those of URLs).
        nested = len(path) > 1 and all(path)
        claims.append({"or_matcher": {"predicate": [spelled, _claim(issuer, path, either)]}} if nested else spelled)
    return claims[0] if len(claims) == 1 else {"and_matcher": {"predicate": claims}}


def _claim(issuer: Issuer, name: str | list[str], value: dict[str, Any]) -> dict[str, Any]:
    names = [name] if isinstance(name, str) else name
    path = [{"key": issuer.name}, *({"key": key} for key in names)]
    source = {"@type": f"{_INPUTS}.network.v3.DynamicMetadataInput", "filter": TOKENS, "path": path}
    match = {"@type": f"{_MATCHERS}.metadata.v3.Metadata", "value": value}
    return {
        "single_predicate": {
            "input": {"name": "claim", "typed_config": source},
            "custom_match": {"name": "claim", "typed_config": match},
        }
    }


def _by_subject(clients: Sequence[Client]) -> dict[str, Any]:
    """Match the subject of a certificate, which the listener has verified.

    It comes last: where a connection has no certificate, Envoy's matcher ends here, and the filter refuses.
    """
    subjects = {client.certificate.subject: _is(client.name) for client in clients if client.certificate is not None}
    subject = {"name": "subject", "typed_config": {"@type": f"{_INPUTS}.ssl.v3.SubjectInput"}}
    return {
        "matcher_tree": {"input": subject, "exact_match_map": {"map": subjects}},
        "on_no_match": _nobody(),
    }
