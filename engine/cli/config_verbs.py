"""The verbs on a stack's configuration: `config`, `config get|set|rm`."""

from __future__ import annotations

import json
import math
import re
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.errors import EngineError, UsageError
from engine.state.diff import parse_path
from engine.state.session import Session
from engine.state.stack_file import StackFile, config_text, has_secure, is_secure, reveal

Decrypt = Callable[[str], str]


def _open(args: Namespace) -> tuple[StackFile, Callable[[], Decrypt], Callable[[str], str]]:
    """Return the stack's settings file, and how to decrypt and to encrypt: those ask for the passphrase when called."""
    session = Session(Path(args.cwd))
    stack = session.stack(args.stack)
    settings = session.settings(stack)
    return (
        settings,
        lambda: session.crypter(stack, settings).decrypt,
        lambda text: session.crypter(stack, settings).encrypt(text),
    )


def show(args: Namespace) -> None:
    """Show the stack's configuration: `config`."""
    settings, decrypter, _ = _open(args)
    decrypt = decrypter() if args.show_secrets else None
    values = dict(sorted(settings.config.items()))
    if args.json:
        print(json.dumps({key: _json(value, decrypt) for key, value in values.items()}, indent=2))
        return
    rows = {settings.short_key(key): _shown(value, decrypt) for key, value in values.items()}
    width = max([len(key) for key in rows] + [3])
    print(f"{'KEY':<{width}}  VALUE")
    for key, text in rows.items():
        print(f"{key:<{width}}  {text}")


def _shown(value: Any, decrypt: Decrypt | None) -> str:
    return config_text(reveal(value, decrypt or (lambda _: "[secret]")))


def _json(value: Any, decrypt: Decrypt | None) -> dict[str, Any]:
    secret = has_secure(value)
    if secret and decrypt is None:
        return {"secret": True}
    fields: dict[str, Any] = {"value": _shown(value, decrypt)}
    if isinstance(value, (dict, list)) and not is_secure(value):
        fields["objectValue"] = reveal(value, decrypt or str)
    return {**fields, "secret": secret}


def get(args: Namespace) -> None:
    """Show one value: `config get`."""
    settings, decrypter, _ = _open(args)
    found = settings.get(args.key, path=args.path)
    if found is None:
        raise EngineError(f"configuration key '{args.key}' not found")
    decrypt = decrypter() if has_secure(found) else None
    print(json.dumps(_json(found, decrypt), indent=2) if args.json else _shown(found, decrypt))


def set_(args: Namespace) -> None:
    """Set one value: `config set`."""
    if args.secret and args.plaintext:
        raise UsageError("config set: --secret and --plaintext cannot be used together")
    settings, _, encrypt = _open(args)
    text = args.value if args.value is not None else sys.stdin.read().removesuffix("\n")
    value: Any = text
    if args.secret:
        value = {"secure": encrypt(text)}
    elif not args.plaintext and looks_like_secret(args.key, text):
        raise EngineError(
            f"config value for '{settings.full_key(args.key)}' looks like a secret; rerun with --secret to encrypt it, "
            "or --plaintext if you meant to store in plaintext"
        )
    elif args.path and len(parse_path(args.key)) > 1:
        value = _typed(text)
    settings.set(args.key, value, path=args.path)
    settings.write()


_SECRET_KEY = re.compile(r"(?i)passwd|pass|password|pwd|secret|token")
_PART = re.compile(r"(?P<word>(?=[^\W\d_]*[aeiouyAEIOUY])[^\W\d_]{2,})|(?P<digits>\d+)|.", re.DOTALL)


def looks_like_secret(key: str, text: str) -> bool:
    """Tell whether the key's name and the value's entropy are those of a secret.

    By the CLI's thresholds on the first 16 characters, with a guess at the entropy where the CLI has dictionaries: a
    word counts 13 bits, a number at most 20, and any other character what its like could be.
    """
    head = text[:16]
    if not (_SECRET_KEY.search(key) and head):
        return False
    kinds = ((str.islower, 26), (str.isupper, 26), (str.isdigit, 10), (lambda char: not char.isalnum(), 33))
    each = math.log2(sum(count for is_kind, count in kinds if any(map(is_kind, head))) or 1)
    bits = sum(
        min(each * len(part[0]), 13 if part["word"] else 20 if part["digits"] else each)
        for part in _PART.finditer(head)
    )
    return bits >= 80 or (bits >= 40 and bits / len(head) >= 3)


def _typed(text: str) -> Any:
    """Return the value inside an object: a boolean or a whole number where it reads as one."""
    if text in ("true", "false"):
        return text == "true"
    return int(text) if re.fullmatch(r"0|-?[1-9][0-9]*", text) else text


def rm(args: Namespace) -> None:
    """Remove one value: `config rm`."""
    settings, _, _ = _open(args)
    if settings.remove(args.key, path=args.path):
        settings.write()
