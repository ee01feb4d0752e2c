"""What each part of the front door costs a request: instructions, with the part and without it, and a bare Envoy's.

    .venv/bin/python -m benchmarks.door_parts --requests 400

The door is whole: keys, a limit for all, the log line, a client's models and limits. Each part is taken away alone.
`benchmarks.instructions` counts; the time of `benchmarks.door` grows as the instructions do.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.clients import PATH, answering
from benchmarks.door import CLIENT, KINDS
from benchmarks.instructions import Asked, counting
from benchmarks.servers import bare_envoy
from gateway import clusters, listener, routes
from gateway.front_door_options import Options, Triton, Upstreams, loopback
from gateway.identities import identity_filter
from gateway.keys import Keys

KEY, CLIENTS_KEY = "the-key-of-the-service", "the-key-of-the-client"
BODY = b'{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}'
Json = dict[str, Any]


def _without(*names: str) -> Callable[[Json], None]:
    """Make the change that takes HTTP filters away, and what routes say of them."""

    def change(manager: Json) -> None:
        manager["http_filters"] = [each for each in manager["http_filters"] if each["name"] not in names]
        (host,) = manager["route_config"]["virtual_hosts"]
        for where in (host, *host["routes"]):
            settings = where.get("typed_per_filter_config", {})
            for name in names:
                settings.pop(name, None)

    return change


def _without_loggers(name: str) -> Callable[[Json], None]:
    def change(manager: Json) -> None:
        manager["access_log"] = [each for each in manager["access_log"] if each["name"] != name]

    return change


def _without_settings(manager: Json) -> None:
    """Leave the connection manager's own settings as Envoy has them."""
    for name in set(manager) - {"@type", "stat_prefix", "route_config", "http_filters", "access_log"}:
        del manager[name]


def _without_route_settings(manager: Json) -> None:
    """Leave the headers of requests as they are, and send no request again."""
    (host,) = manager["route_config"]["virtual_hosts"]
    for name in ("request_headers_to_remove", "request_headers_to_add", "retry_policy"):
        host.pop(name)
    for route in host["routes"]:
        route.pop("request_headers_to_add", None)


PARTS: Mapping[str, Callable[[Json], None]] = {
    "a client's models": _without("grants", "grants_of_calls"),
    "a client's limits": _without("client_rate", "client_name", "client_concurrency"),
    "the log line": _without_loggers("envoy.access_loggers.stdout"),
    "the log line's model, version and trace id": _without("access_log", "access_log_model"),
    "the guard": _without("guard", "answers"),
    "metrics by client, route and generation": _without_loggers("envoy.access_loggers.stats"),
    "the limit for all": _without("local_ratelimit"),
    "packed bodies and the limit of bodies": _without("gunzip", "body_size_limit"),
    "headers of requests, retries": _without_route_settings,
    "addresses, request ids, time limits, paths, errors as JSON": _without_settings,
}


def _door(upstream: int, **settings: Any) -> tuple[Json, list[Json]]:
    """Render a door's listener with its routes and keys in it, and its clusters with their endpoints."""
    address = loopback(upstream)
    options = Options(Upstreams(Triton(address, address, address), generation="1"), "/gateway", **settings)
    door = listener.front_door(options)
    manager = _manager(door)
    del manager["rds"]
    manager["route_config"] = {**routes.route_configuration(options), "validate_clusters": False}
    keys = {client.name: Keys(CLIENTS_KEY, CLIENTS_KEY[::-1]) for client in options.clients}
    identities = identity_filter(Keys(KEY, KEY[::-1]), options.clients, keys)
    for each in manager["http_filters"]:
        if each.pop("config_discovery", None):
            each["typed_config"] = identities
    made = clusters.clusters(options)
    for cluster in made:
        del cluster["eds_cluster_config"]
        cluster |= {"type": "STATIC", "load_assignment": clusters.endpoints(options.upstreams)[cluster["name"]]}
    return door, made


def _manager(door: Json) -> Json:
    manager: Json = door["filter_chains"][0]["filters"][0]["typed_config"]
    return manager


def main() -> None:
    """Count, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--warm-up", type=int, default=400)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, answering(Path(temporary)) as upstream:
        bare = bare_envoy(1, upstream)["static_resources"]
        (whole_kind,) = [settings for settings in KINDS.values() if "clients" in settings]
        whole, made = _door(upstream, **whole_kind)
        headers = {"Authorization": f"Bearer {CLIENTS_KEY}"}
        asked = {"bare Envoy": Asked(bare["listeners"][0], headers)}
        for kind, settings in KINDS.items():
            key = CLIENTS_KEY if CLIENT in settings.get("clients", ()) else KEY
            asked[kind] = Asked(_door(upstream, **settings)[0], {"Authorization": f"Bearer {key}"})
        for part, change in PARTS.items():
            door = copy.deepcopy(whole)
            change(_manager(door))
            asked[f"without {part}"] = Asked(door, headers)
        bare["clusters"][0]["name"] = "bare"
        for route in _manager(bare["listeners"][0])["route_config"]["virtual_hosts"][0]["routes"]:
            if "route" in route:
                route["route"]["cluster"] = "bare"
        with counting(Path(temporary), asked, [*made, *bare["clusters"]]) as counter:
            found: dict[str, float] = {}
            for name in asked:
                found[name] = counter.measure(name, PATH, BODY, warm_up=arguments.warm_up, requests=arguments.requests)
                of_bare = found[name] / found["bare Envoy"]
                sys.stdout.write(f"{name}: {found[name]:,.0f} instructions; ratio {of_bare:.3f}\n")
                sys.stdout.flush()
    sys.stdout.write("\n| part | instructions | of a bare Envoy's |\n|---|---:|---:|\n")
    for part in PARTS:
        cost = found[list(KINDS)[-1]] - found[f"without {part}"]
        sys.stdout.write(f"| {part} | {cost:,.0f} | {cost / found['bare Envoy']:.1%} |\n")


if __name__ == "__main__":
    main()
