"""Property values: what a resource's inputs and outputs are made of, on the wire and in a checkpoint.

A value is None, a bool, a number, a string, a list, a dict with string keys, or one of the classes below. On the wire
(a protobuf `Struct`) and in a checkpoint (JSON) those classes are objects marked by a signature; the signatures are
Pulumi's (sdk/go/common/resource/sig in its repository).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from struct import pack, unpack
from typing import TYPE_CHECKING, Any

from engine.errors import CLI_HINT, EngineError

if TYPE_CHECKING:
    from google.protobuf import struct_pb2

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
REFERENCE = "5cf8f73096256a8f31e491e813e4eb8e"
FLOAT = "8ad145fe-0d11-4827-bfd7-1abcbf086f5c"
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"

UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWN_TEXTS = frozenset(
    {
        UNKNOWN_TEXT,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)

Properties = dict[str, Any]


@dataclass(frozen=True)
class Secret:
    """A value that is encrypted in state and hidden in output."""

    value: Any


@dataclass(frozen=True)
class Unknown:
    """A value that only the update will tell."""


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Asset:
    """A file's content, by `text`, `path` or `uri`."""

    kind: str
    content: str
    digest: str = ""


@dataclass(frozen=True)
class Reference:
    """A resource passed as a value. `id` is None for a component, UNKNOWN before the resource exists."""

    urn: str
    id: Any = None
    version: str = ""


def _from_marked(signature: str, fields: Properties) -> Any:
    if signature == SECRET:
        return Secret(fields["value"])
    if signature == REFERENCE:
        id_ = fields.get("id")
        return Reference(fields["urn"], UNKNOWN if id_ == "" else id_, fields.get("packageVersion", ""))
    if signature == OUTPUT:
        value = fields.get("value", UNKNOWN)
        return Secret(value) if fields.get("secret") else value
    if signature == FLOAT:
        return _float(fields["value"])
    if signature == ASSET:
        kind = next((kind for kind in ("text", "path", "uri") if fields.get(kind)), "text")
        return _with_digest(Asset(kind, fields.get(kind, ""), fields.get("hash", "")))
    raise EngineError(f"A resource's property is an archive, which the embedded engine does not support. {CLI_HINT}")


def _float(bits: str) -> float:
    """Return the number that JSON has no word for: NaN, or infinity of either sign."""
    if len(bits) != 16:
        raise ValueError(f"'{bits}' are not the bits of a number")
    number: float = unpack(">d", bytes.fromhex(bits))[0]
    return number


def _with_digest(asset: Asset) -> Asset:
    if asset.digest or asset.kind == "uri":
        return asset
    content = asset.content.encode() if asset.kind == "text" else Path(asset.content).read_bytes()
    return Asset(asset.kind, asset.content, hashlib.sha256(content).hexdigest())


def _asset_fields(asset: Asset) -> Properties:
    return {SIGNATURE: ASSET, "hash": asset.digest, asset.kind: asset.content}


def _reference_fields(reference: Reference) -> Properties:
    fields: Properties = {SIGNATURE: REFERENCE, "urn": reference.urn}
    if reference.id is not None:
        fields["id"] = "" if isinstance(reference.id, Unknown) else reference.id
    if reference.version:
        fields["packageVersion"] = reference.version
    return fields


def from_struct(struct: struct_pb2.Struct) -> Properties:
    """Return the properties in a protobuf `Struct`; whole numbers become ints."""
    return {key: _from_wire(value) for key, value in struct.fields.items()}


def _from_wire(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value in _UNKNOWN_TEXTS else value.string_value
    if kind == "number_value":
        return _number(value.number_value)
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [_from_wire(item) for item in value.list_value.values]
    if kind == "struct_value":
        fields = from_struct(value.struct_value)
        signature = fields.get(SIGNATURE)
        return fields if signature is None else _from_marked(signature, fields)
    return None


def _number(number: float) -> int | float:
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def to_struct(
    properties: Mapping[str, Any], *, secrets: bool = True, references: bool = True, unknowns: bool = True
) -> struct_pb2.Struct:
    """Return the properties as a protobuf `Struct`.

    Without `secrets`, a secret is its bare value; without `references`, a reference is its id, or the URN of a
    component; without `unknowns`, an unknown is left out.
    """
    from google.protobuf import struct_pb2

    keep = _Keep(secrets, references, unknowns)
    struct = struct_pb2.Struct()
    for key, value in properties.items():
        if unknowns or not isinstance(value, Unknown):
            _to_wire(value, struct.fields[key], keep)
    return struct


@dataclass(frozen=True)
class _Keep:
    secrets: bool
    references: bool
    unknowns: bool


def _to_wire(value: Any, wire: struct_pb2.Value, keep: _Keep) -> None:
    if isinstance(value, str):
        wire.string_value = value
    elif isinstance(value, bool):
        wire.bool_value = value
    elif isinstance(value, (int, float)):
        wire.number_value = value
    elif isinstance(value, dict):
        wire.struct_value.SetInParent()
        for key, item in value.items():
            if keep.unknowns or not isinstance(item, Unknown):
                _to_wire(item, wire.struct_value.fields[key], keep)
    elif isinstance(value, list):
        wire.list_value.SetInParent()
        for item in value:
            if keep.unknowns or not isinstance(item, Unknown):
                _to_wire(item, wire.list_value.values.add(), keep)
    elif isinstance(value, Secret):
        _to_wire({SIGNATURE: SECRET, "value": value.value} if keep.secrets else value.value, wire, keep)
    elif isinstance(value, Unknown):
        wire.string_value = UNKNOWN_TEXT
    elif isinstance(value, Reference):
        if keep.references:
            _to_wire(_reference_fields(value), wire, keep)
        else:
            _to_wire(value.urn if value.id is None else value.id, wire, keep)
    elif isinstance(value, Asset):
        _to_wire(_asset_fields(value), wire, keep)
    else:
        wire.null_value = 0  # type: ignore[assignment]


def encode(value: Any, encrypt: Callable[[str], str]) -> Any:
    """Return the value as a checkpoint's JSON holds it, secrets encrypted."""
    if isinstance(value, dict):
        return {key: encode(item, encrypt) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [encode(item, encrypt) for item in value]
    if isinstance(value, Secret):
        # What is secret within it keeps its mark, and is not encrypted twice: so does Pulumi's CLI.
        text = json.dumps(encode(value.value, lambda text: text), separators=(",", ":"), ensure_ascii=False)
        return {SIGNATURE: SECRET, "ciphertext": encrypt(text)}
    if isinstance(value, Unknown):
        return UNKNOWN_TEXT
    if isinstance(value, Reference):
        return {"packageVersion": value.version, **_reference_fields(value)}
    if isinstance(value, Asset):
        return _asset_fields(value)
    if isinstance(value, float) and not math.isfinite(value):  # for which JSON has no word
        return {SIGNATURE: FLOAT, "value": pack(">d", value).hex()}
    return value


def decode(value: Any, decrypt: Callable[[str], str]) -> Any:
    """Return the value that a checkpoint's JSON holds, the inverse of `encode`."""
    if isinstance(value, dict):
        signature = value.get(SIGNATURE)
        if signature == SECRET:
            text = value["plaintext"] if "plaintext" in value else decrypt(value["ciphertext"])
            # Older versions of this engine encrypted what is secret within it once more.
            return Secret(decode(json.loads(text), lambda inner: decrypt(inner) if inner[:3] == "v1:" else inner))
        fields = {key: decode(item, decrypt) for key, item in value.items()}
        return fields if signature is None else _from_marked(signature, fields)
    if isinstance(value, list):
        return [decode(item, decrypt) for item in value]
    if isinstance(value, float):
        return _number(value)
    return UNKNOWN if isinstance(value, str) and value in _UNKNOWN_TEXTS else value


def plain(value: Any, *, hide: str | None = None) -> Any:
    """Return the value as JSON for people and programs: secrets bare or replaced by `hide`, unknowns marked."""
    if isinstance(value, Secret):
        return plain(value.value) if hide is None else hide
    if isinstance(value, dict):
        return {key: plain(item, hide=hide) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, hide=hide) for item in value]
    return encode(value, lambda text: text)


def bare(value: Any) -> Any:
    """Return the value without its secret marks."""
    if isinstance(value, Secret):
        return bare(value.value)
    if isinstance(value, dict):
        return {key: bare(item) for key, item in value.items()}
    if isinstance(value, list):
        return [bare(item) for item in value]
    return value


def has(value: Any, kind: type[Secret] | type[Unknown]) -> bool:
    """Tell whether the value is or contains a secret, or an unknown."""
    if isinstance(value, kind):
        return True
    if isinstance(value, Secret):
        return has(value.value, kind)
    if isinstance(value, dict):
        return any(has(item, kind) for item in value.values())
    return isinstance(value, list) and any(has(item, kind) for item in value)


def mark_secrets(results: Properties, sources: Properties) -> Properties:
    """Return the results with each property secret whose namesake in the sources contains a secret.

    For providers that do not take secrets. Objects are marked key by key, any other value as a whole.
    """
    marked = dict(results)
    for key, source in sources.items():
        if key not in marked:
            continue
        if isinstance(marked[key], dict) and isinstance(source, dict):
            marked[key] = mark_secrets(marked[key], source)
        elif not isinstance(marked[key], Secret) and has(source, Secret):
            marked[key] = Secret(marked[key])
    return marked


def hide_keys(properties: Properties, keys: Collection[str]) -> Properties:
    """Return the properties with those under `keys` secret (`additionalSecretOutputs`)."""
    return {
        key: Secret(value) if key in keys and not isinstance(value, Secret) else value
        for key, value in properties.items()
    }
