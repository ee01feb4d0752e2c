"""What a component needs to take traffic, as it was declared: what lives in the cluster is held against it."""

from pydantic import BaseModel, ConfigDict

from settings.schema import Settings
from targets.node_pool.object_names import CANDIDATE, FRONT_DOOR, REPLICA, Names

__all__ = ["HPA", "SCALED_OBJECT", "Needs"]

HPA = "horizontalpodautoscalers"
SCALED_OBJECT = "scaledobjects.keda.sh"


class Needs(BaseModel):
    """The replicas of a component, between `least` and `most`, and the objects around them.

    Attributes:
        services: Each leads to ready pods.
        policies: The NetworkPolicies that let clients in.
        autoscaler: The kind of the autoscaler of the component's name, "" without one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    least: int = 1
    most: int = 1
    services: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    autoscaler: str = ""

    @classmethod
    def of(cls, component: str, settings: Settings) -> "Needs":
        """Give the needs of `replica`, `candidate` or `front-door`, from a stack's settings."""
        pool, names = settings.node_pool, Names(settings.service_name, settings.node_pool.namespace)
        if component == FRONT_DOOR:
            count = pool.front_door.num_replicas
            return cls(least=count, most=count, services=(names.service,), policies=(names.front_door,))
        scale = pool.autoscale
        least, most = (scale.min_replicas, scale.max_replicas) if scale else (pool.num_replicas, pool.num_replicas)
        if component == CANDIDATE:
            least = pool.candidate_replicas(settings.deployment.rollout.largest_share)
            most = max(least, most) if scale else least
        else:
            assert component == REPLICA
        autoscaler = "" if scale is None else SCALED_OBJECT if scale.keda else HPA
        return cls(
            least=least,
            most=most,
            services=(names.headless(component),),
            policies=(names.deployment(component),),
            autoscaler=autoscaler,
        )

    def wanted(self, replicas: int) -> int:
        """How many replicas there should be, where somebody or something set them to `replicas`."""
        return min(max(replicas, self.least), self.most)
