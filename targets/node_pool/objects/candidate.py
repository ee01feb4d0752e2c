"""The second generation of a canary: the same objects as the replicas' under names of their own, and its replicas."""

from targets.node_pool.object_names import CANDIDATE, Names
from targets.node_pool.objects.autoscaling import autoscaler
from targets.node_pool.objects.network_policy import prover_policy, replica_policy
from targets.node_pool.objects.workload import deployment, disruption_budget, headless_service
from targets.node_pool.rendering import Manifest, Options

__all__ = ["candidate"]


def candidate(options: Options) -> list[Manifest]:
    """Render the objects of a candidate, its Deployment last: they use the account and the secrets of the replicas.

    Its disruption budget and its autoscaler are its own, because a drain and a load meet each generation by itself. The
    autoscaler keeps `replicas` at least: a candidate that sleeps proves nothing.
    """
    made, replicas = deployment(options, CANDIDATE), options.pool.candidate_replicas(options.rollout.largest_share)
    made["spec"]["replicas"] = replicas
    autoscale = options.pool.autoscale
    return [
        headless_service(options, CANDIDATE),
        disruption_budget(options, Names.of(options).candidate, CANDIDATE),
        replica_policy(options, CANDIDATE),
        *([prover_policy(options)] if options.rollout.has_gates else []),
        *([autoscaler(options, autoscale, CANDIDATE, replicas)] if autoscale else []),
        made,
    ]
