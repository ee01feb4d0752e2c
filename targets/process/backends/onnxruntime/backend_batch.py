"""Requests run together: which can share one run of ONNX Runtime, and whose part of its outputs belongs to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from backend_config import BackendError

Array = np.ndarray[Any, Any]
Feeds = dict[str, Array]
Run = Callable[[list[str], Feeds], Sequence[Array]]


def decode(name: str, values: Array) -> Array:
    """Triton's byte strings as the text that ONNX Runtime takes."""
    decoded = np.empty(values.size, dtype=np.object_)
    try:
        decoded[:] = [value.decode() for value in values.ravel()]
    except UnicodeDecodeError as error:
        raise BackendError(f"input '{name}' holds a string that is not UTF-8: {error}") from None
    return decoded.reshape(values.shape)


def group(batch: Iterable[tuple[int, Feeds]]) -> list[list[tuple[int, Feeds]]]:
    """The requests that can share a run: the same inputs, equal in type and in every dimension but the first."""
    groups: dict[Any, list[tuple[int, Feeds]]] = {}
    for index, feeds in batch:
        key = tuple(sorted((name, values.dtype.str, values.shape[1:]) for name, values in feeds.items()))
        groups.setdefault(key, []).append((index, feeds))
    return list(groups.values())


def run_batch(run: Run, names: list[str], batch: Sequence[Feeds]) -> list[list[Array]]:
    """The outputs `names` of each request of `batch`, from one call of `run` over all of them."""
    if len(batch) == 1:
        return [list(run(names, batch[0]))]
    sizes = [len(next(iter(feeds.values()))) for feeds in batch]
    results = run(names, {name: np.concatenate([feeds[name] for feeds in batch]) for name in batch[0]})
    for name, values in zip(names, results, strict=True):
        if len(values) != sum(sizes):
            raise BackendError(f"output '{name}' has {len(values)} rows for a batch of {sum(sizes)}")
    ends = np.cumsum(sizes)
    return [[values[end - size : end] for values in results] for size, end in zip(sizes, ends, strict=True)]
