"""The releases of Triton, the ONNX Runtime in each, and the newest models that each ONNX Runtime loads.

NVIDIA's table of ONNX Runtime by release is in `docs/introduction/compatibility.md` of triton-inference-server/server.
The limits of each ONNX Runtime come from loading models with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bundle.model_config import ModelConfig

if TYPE_CHECKING:  # `onnx` takes long to import
    from bundle.onnx_graph import Graph


class Limits(NamedTuple):
    """The highest versions that an ONNX Runtime loads: of ONNX's opset, of its file format (IR) and of ai.onnx.ml."""

    opset: int
    ir: int
    ml: int


LIMITS = {
    "1.17": Limits(20, 9, 4),
    "1.18": Limits(21, 10, 5),
    "1.19": Limits(21, 10, 5),
    "1.20": Limits(21, 10, 5),
    "1.21": Limits(22, 10, 5),
    "1.22": Limits(22, 10, 5),
    "1.23": Limits(23, 11, 5),
    "1.24": Limits(25, 13, 5),
    "1.27": Limits(26, 13, 5),
}

RELEASES = {
    "1.17": ("24.04",),
    "1.18": ("24.05", "24.06", "24.07", "24.08"),
    "1.19": ("24.09", "24.10", "24.11"),
    "1.20": ("24.12", "25.01", "25.02"),
    "1.21": ("25.03", "25.04"),
    "1.22": ("25.05", "25.06", "25.07"),
    "1.23": ("25.09", "25.10", "25.11", "25.12", "26.01"),
    "1.24": ("26.02", "26.03", "26.04", "26.05", "26.06"),
    "1.27": ("26.07",),
}
"""NVIDIA's releases by the ONNX Runtime in them; 25.08 is missing, as it has an unreleased ONNX Runtime."""

_FIELDS_SINCE = (
    ("model_metrics", "24.12", lambda config: config.HasField("model_metrics")),
    ("max_inflight_requests", "25.12", lambda config: bool(config.ensemble_scheduling.max_inflight_requests)),
)
"""The fields of a configuration that older releases do not parse."""


@dataclass(frozen=True)
class Runtime:
    """A target's Triton: its name for people, its release (`24.12`) and its ONNX Runtime (`1.20`); "" if unknown."""

    name: str
    release: str = ""
    onnx_runtime: str = ""

    @classmethod
    def of_release(cls, name: str, release: str) -> Runtime:
        """Return the Triton of one of NVIDIA's images."""
        return cls(name, release, next((version for version, held in RELEASES.items() if release in held), ""))

    def config_problems(self, config: ModelConfig, shown: str) -> Iterator[str]:
        """Yield a line for each field of a configuration that this release does not know."""
        for field, since, is_set in _FIELDS_SINCE:
            if self.release and self.release < since and is_set(config):
                yield (
                    f"{shown}: {field} is known to Triton from release {since} on, and {self.name} is of "
                    f"{self.release}; remove it"
                )

    def graph_problems(self, graph: Graph, model_file: str) -> Iterator[str]:
        """Yield a line where a graph is too new for this ONNX Runtime."""
        limits = LIMITS.get(self.onnx_runtime)
        if limits is None:
            return
        needs = Limits(graph.opset, graph.ir, graph.ml_opset)
        if all(need <= limit for need, limit in zip(needs, limits, strict=True)):
            return
        has = f"opset {needs.opset} and IR version {needs.ir}"
        takes = f"up to opset {limits.opset} and IR version {limits.ir}"
        if needs.ml > limits.ml:
            has, takes = f"{has}, ai.onnx.ml {needs.ml}", f"{takes}, ai.onnx.ml {limits.ml}"
        if needs.opset > limits.opset or needs.ml > limits.ml:
            fix = f"export it for opset {limits.opset} (the exporters' target_opset or opset_version)"
        else:  # exporters write the newest number that they know, whatever the graph uses
            fix = f"its opset needs no newer file: load it with onnx, set ir_version = {limits.ir}, and save it"
        yield (
            f"{model_file}: has {has}; ONNX Runtime {self.onnx_runtime} of {self.name} takes {takes}; "
            f"{fix}{_release_that_does(needs)}"
        )


def _release_that_does(needs: Limits) -> str:
    for version, limits in LIMITS.items():
        if all(need <= limit for need, limit in zip(needs, limits, strict=True)):
            return (
                f", or serve it from an image of release {RELEASES[version][0]} or later (ONNX Runtime {version}) on "
                "target docker or node-pool"
            )
    return ""
