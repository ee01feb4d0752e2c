"""The redirection of `localhost:8000`: in a script it means the Triton of the script's own deployment.

Published scripts hard-code `localhost:8000` (and `localhost:8001` for gRPC), where Azure's container had its Triton.
Here several deployments share a machine, and two generations of one deployment during an update. So each Triton listens
on ports of its own, which TRITON_HTTP_PORT and TRITON_GRPC_PORT name. This module changes the port, and nothing else,
of connections that a worker opens to exactly these two ports of a loopback address. It hooks the three places where
Python programs connect: `socket.connect` (gevent's and asyncio's too), uvloop's `create_connection`, and gRPC's
channels, which connect in C.
"""

from __future__ import annotations

import functools
import importlib
import re
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

from serving.script import import_hooks

TRITON_HTTP_PORT = 8000
TRITON_GRPC_PORT = 8001

_LOOPBACK_ADDRESS = re.compile(r"127(\.\d{1,3}){3}|::1|::ffff:127(\.\d{1,3}){3}", re.ASCII | re.IGNORECASE)
_LOOPBACK_NAMES = frozenset({"localhost", "localhost.", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
_GRPC_TARGET = re.compile(r"(?P<host>(?:dns:(?:///)?|ipv4:|ipv6:)?(?:\[[^\]]*\]|[^\[\]:/]*)):(?P<port>\d+)")


def ports(environment: Mapping[str, str]) -> dict[int, int]:
    """Read the redirected ports: TRITON_HTTP_PORT and TRITON_GRPC_PORT, where they differ from 8000 and 8001."""
    redirected = {}
    for port, variable in ((TRITON_HTTP_PORT, "TRITON_HTTP_PORT"), (TRITON_GRPC_PORT, "TRITON_GRPC_PORT")):
        if environment.get(variable):
            redirected[port] = int(environment[variable])
    return {port: target for port, target in redirected.items() if target != port}


def install(redirected: Mapping[int, int]) -> None:
    """Redirect this process's new connections to ports of the loopback address.

    Args:
        redirected: the new port for each port; an empty mapping changes nothing.
    """
    if not redirected:
        return
    _patch_connect(socket.socket, redirected)
    if "gevent" in sys.modules:
        gevent_socket = importlib.import_module("gevent.socket").socket
        if gevent_socket is not socket.socket:
            _patch_connect(gevent_socket, redirected)
    import_hooks.when_imported("uvloop", lambda module: _patch_create_connection(module.Loop, redirected))
    import_hooks.when_imported("grpc", lambda module: _patch_channels(module, redirected))
    import_hooks.when_imported("grpc.aio", lambda module: _patch_channels(module, redirected))


def is_loopback(host: object) -> bool:
    """Tell whether `host`, a name or an address, is this machine's loopback."""
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii", "replace")
    if not isinstance(host, str):
        return False
    host = host.strip("[]").lower()
    return host in _LOOPBACK_NAMES or _LOOPBACK_ADDRESS.fullmatch(host) is not None


def redirect_address(address: Any, redirected: Mapping[int, int]) -> Any:
    """Redirect the port of a socket address; other addresses come back as they are."""
    if (
        isinstance(address, (tuple, list))
        and len(address) >= 2
        and address[1] in redirected
        and is_loopback(address[0])
    ):
        return (address[0], redirected[address[1]], *address[2:])
    return address


def redirect_target(target: str, redirected: Mapping[int, int]) -> str:
    """Redirect the port of a gRPC target, such as `localhost:8001` or `ipv4:127.0.0.1:8001`."""
    match = _GRPC_TARGET.fullmatch(target)
    if match is None or int(match["port"]) not in redirected:
        return target
    host = re.sub(r"^(dns:(///)?|ipv4:|ipv6:)", "", match["host"])
    return f"{match['host']}:{redirected[int(match['port'])]}" if is_loopback(host) else target


def _patch_connect(socket_class: type, redirected: Mapping[int, int]) -> None:
    for name in ("connect", "connect_ex"):
        original: Callable[..., Any] = getattr(socket_class, name)

        def connect(self: Any, address: Any, original: Callable[..., Any] = original) -> Any:
            return original(self, redirect_address(address, redirected))

        setattr(socket_class, name, functools.wraps(original)(connect))


def _patch_create_connection(loop_class: type, redirected: Mapping[int, int]) -> None:
    original = loop_class.create_connection  # type: ignore[attr-defined]

    @functools.wraps(original)
    async def create_connection(
        self: Any, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        if host is not None and port is not None:
            _, port = redirect_address((host, int(port)), redirected)
        return await original(self, protocol_factory, host, port, **options)

    loop_class.create_connection = create_connection  # type: ignore[attr-defined]


def _patch_channels(module: Any, redirected: Mapping[int, int]) -> None:
    for name in ("insecure_channel", "secure_channel"):
        original = getattr(module, name)

        def channel(target: str, *rest: Any, original: Callable[..., Any] = original, **options: Any) -> Any:
            return original(redirect_target(target, redirected), *rest, **options)

        setattr(module, name, functools.wraps(original)(channel))
