"""Triton's response cache, for models that ask for it.

A model's `config.pbtxt` asks with `response_cache { enable: true }`. Triton has a cache only where its command line
says so. Without a cache it computes each answer anew, and says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["with_cache"]

MEGABYTES = 64
_REPOSITORY = re.compile(r"--model-(?:repository|store)(?:=(.+))?")
_COMMENT = re.compile(r"#.*")
_ASKED_FOR = re.compile(r"\bresponse_cache\s*:?\s*[{<][^}>]*\benable\s*:\s*(?:true|True|t|1)\b")


def with_cache(command: Sequence[str]) -> list[str]:
    """Add a cache to Triton's command line where a model of its repositories asks for one.

    A repository in an object store is not read: its models may ask, so Triton gets a cache.
    """
    asked = any("://" in repository or _asks(Path(repository)) for repository in _repositories(command))
    return [*command, *([f"--cache-config=local,size={MEGABYTES << 20}"] if asked else [])]


def _repositories(command: Sequence[str]) -> list[str]:
    found = []
    for word, following in zip(command, [*command[1:], ""], strict=True):
        if match := _REPOSITORY.fullmatch(word):
            found.append(match[1] or following)
    return found


def _asks(repository: Path) -> bool:
    configurations = (file.read_text(errors="replace") for file in repository.glob("*/config.pbtxt"))
    return any(_ASKED_FOR.search(_COMMENT.sub("", text)) for text in configurations)
