"""The goals of the entry script server, and how a run stands to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.results import DENSENET, DIGITS, Results

__all__ = ["ASYNC", "BARE_ENVOY", "ENVOY_TRITON", "OURS", "TRITON", "UNBATCHED", "bounds", "goals"]

TRITON, ENVOY_TRITON = "Triton, binary", "Envoy and Triton, binary"
BARE_ENVOY = "bare Envoy and Triton, binary"
OURS, PEER = "ours: script and Triton, JSON", "Azure's: script and Triton, JSON"
ASYNC = "ours: async script and Triton, JSON"
# Appended to a row's name. The goals for shares of Triton's throughput were set when Triton did not batch either.
UNBATCHED = ", no batching"
SYNCHRONOUS = ("script and Triton, JSON", "script and Triton, binary", "scoring only, JSON")
OUR_WORKER, PEER_WORKER = "ours-score_triton-digits", "peer-score_triton-digits"


def goals(results: Results) -> Iterator[Sequence[object]]:
    """One row for each goal: what, the goal, the figure of this run, whether it is met."""

    def ratio(name: str, other: str, concurrency: int, field: str) -> float:
        return _median(results, name, concurrency, field) / _median(results, other, concurrency, field)

    def added(name: str, other: str) -> float:
        return _median(results, name, 1, "p50_ms") - _median(results, other, 1, "p50_ms")

    worst, where = max(_against_the_peer(results))
    health = results.found["health"]
    slowest = max(max(health[name]) for name in ("ours", "Envoy, ours"))
    peers = max(max(health[name]) for name in ("Azure's", "Envoy, Azure's"))
    memory = results.found["memory"]
    yield _least("synchronous script, 32 at once: throughput / the peer's", 3, ratio(OURS, PEER, 32, "throughput"))
    yield _least("synchronous script, 8 at once: throughput / the peer's", 2, ratio(OURS, PEER, 8, "throughput"))
    yield _most(f"synchronous scripts: worst p50 or p99 of all / the peer's ({where})", 1, worst)
    yield _most(
        "synchronous script, 32 at once: processor time a request / the peer's", 0.40, ratio(OURS, PEER, 32, "cpu_ms")
    )
    yield _least("asynchronous script, 32 at once: throughput / the peer's", 5.5, ratio(ASYNC, PEER, 32, "throughput"))
    yield _least("asynchronous script, 32 at once: throughput / Triton's", 0.58, ratio(ASYNC, TRITON, 32, "throughput"))
    unbatched = ratio(f"{ASYNC}{UNBATCHED}", f"{TRITON}{UNBATCHED}", 32, "throughput")
    yield _least("asynchronous script, the same, Triton not batching", 0.58, unbatched)
    yield _most(
        "asynchronous script, 32 at once: processor time a request / the peer's", 0.22, ratio(ASYNC, PEER, 32, "cpu_ms")
    )
    yield _most("asynchronous script, 1 at once: p50 less Triton's, ms", 0.35, added(ASYNC, TRITON))
    yield _most("synchronous script, 1 at once: p50 less Triton's, ms", 0.35, added(OURS, TRITON))
    yield ["the peer, 1 at once: p50 less Triton's, ms", "", f"{added(PEER, TRITON):.2f}", ""]
    yield _most("Envoy with keys, 1 at once: p50 less Triton's, ms", 0.16, added(ENVOY_TRITON, TRITON))
    yield _least(
        "Envoy with keys, 32 at once: throughput / Triton's", 0.72, ratio(ENVOY_TRITON, TRITON, 32, "throughput")
    )
    unbatched = ratio(f"{ENVOY_TRITON}{UNBATCHED}", f"{TRITON}{UNBATCHED}", 32, "throughput")
    yield _least("Envoy with keys, the same, Triton not batching", 0.72, unbatched)
    yield ["Envoy with keys, 1 at once: p50 less a bare Envoy's, ms", "", f"{added(ENVOY_TRITON, BARE_ENVOY):.2f}", ""]
    bare = ratio(ENVOY_TRITON, BARE_ENVOY, 32, "throughput")
    yield ["Envoy with keys, 32 at once: throughput / a bare Envoy's", "", f"{bare:.2f}", ""]
    yield _most("`/` while the worker is in a run() of 3 s, slowest, directly or through Envoy, ms", 50, slowest)
    yield ["the peer's `/` meanwhile, ms", "", f"{peers:,.0f}", ""]
    yield _most("memory of one worker, MiB", 60, memory[OUR_WORKER])
    yield ["memory of one worker of the peer, MiB", "", f"{memory[PEER_WORKER]:.0f}", ""]


def bounds(results: Results) -> Iterator[str]:
    """What limits the shares of Triton's own throughput: the processor time of a request where all cores are busy."""

    def spent(name: str) -> str:
        own, triton = (_median(results, name, 32, field) for field in ("cpu_ms", "triton_cpu_ms"))
        servers = f"{triton:.3f} ms of Triton" + (f" and {own:.3f} ms of its own" if name != TRITON else "")
        return f"{name}: {servers}, the cores {_median(results, name, 32, 'busy_percent'):.0f} % busy"

    yield (
        "Shares of Triton's own throughput are bounded by the processor time that a request takes beside Triton, since "
        "the cores are busy. Triton's own part of it grows when requests come one by one, for its batches are smaller. "
        "For each request at 32 at once:\n"
    )
    yield "".join(f"- {spent(name)}\n" for name in (TRITON, ASYNC, BARE_ENVOY, ENVOY_TRITON))


def _median(results: Results, name: str, concurrency: int, field: str) -> float:
    return results.of(DIGITS, name, concurrency, field).median


def _least(what: str, goal: float, measured: float) -> Sequence[object]:
    return [what, f"at least {goal:g}", f"{measured:.2f}", "met" if measured >= goal else "missed"]


def _against_the_peer(results: Results) -> Iterator[tuple[float, str]]:
    """Our latencies as shares of the peer's, with what they are: every synchronous script, at every concurrency."""
    for model in (DIGITS, DENSENET):
        for script in SYNCHRONOUS:
            for n in results.concurrencies(model):
                for field, name in (("p50_ms", "p50"), ("p99_ms", "p99")):
                    ours, peers = (results.of(model, f"{of}: {script}", n, field).median for of in ("ours", "Azure's"))
                    yield ours / peers, f"{model}, {script}, {n} at once, {name}"


def _most(what: str, goal: float, measured: float) -> Sequence[object]:
    return [what, f"at most {goal:g}", f"{measured:.2f}", "met" if measured <= goal else "missed"]
