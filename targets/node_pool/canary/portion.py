"""A candidate's share of the traffic, as the cluster has it: written on the ConfigMap `Names.shares`."""

from dataclasses import dataclass
from typing import Self

from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.object_names import Names

__all__ = ["Portion"]

_WEIGHT, _MIRROR, _STAYS = (f"triton-serving/{name}" for name in ("weight", "mirror", "stays"))


@dataclass(frozen=True)
class Portion:
    """Percent of the requests that the candidate answers, and percent that it gets as copies."""

    weight: int = 0
    mirror: int = 0
    stays: bool = False

    @classmethod
    def of(cls, cluster: Cluster, names: Names) -> Self | None:
        """Read a candidate's share; None where it has no place at the Envoys."""
        found = cluster.get("configmaps", names.namespace, names.shares)
        if found is None:
            return None
        annotations = found["metadata"].get("annotations", {})
        return cls(
            int(annotations.get(_WEIGHT, 0)), int(annotations.get(_MIRROR, 0)), annotations.get(_STAYS) == str(True)
        )

    @property
    def annotations(self) -> dict[str, str]:
        """Write it down, as `of` reads it."""
        return {_WEIGHT: str(self.weight), _MIRROR: str(self.mirror), _STAYS: str(self.stays)}

    def __str__(self) -> str:
        if self.mirror:
            return f"gets copies of {self.mirror} % of the requests"
        return f"answers {self.weight} % of the requests"
