"""Rules over the settings of target `node-pool`."""

import difflib
import ipaddress
import re
from collections.abc import Iterator

from pydantic.alias_generators import to_camel

from settings.compute_targets import OWN_POOL, presets
from settings.errors import Mistake
from settings.rules.node_pool_pods import pod_rules
from settings.rules.rule import rule
from settings.schema import Framework, RegisteredModelId, Settings, Target

__all__ = ["node_pool_rules"]

_STACK = re.compile(r"[\w.-]+(/[\w.-]+){2}", re.ASCII)


@rule
def node_pool_rules(settings: Settings) -> Iterator[Mistake]:
    """Yield the rules that the settings of a node pool break."""
    if settings.deployment.target is not Target.NODE_POOL:
        if settings.node_pool.model_fields_set:
            yield Mistake(
                path="nodePool",
                expected=f"is read by target 'node-pool' alone, and deployment.target is "
                f"'{settings.deployment.target.value}': remove it, or set the target",
            )
        return
    for judge in (
        _cluster_is_known,
        _pool_is_known,
        _exposure_is_whole,
        _sources_are_addresses,
        _exposure_is_guarded,
        _autoscale_can_work,
        _candidate_has_room,
    ):
        yield from judge(settings)
    yield from pod_rules(settings)


@rule
def _candidate_has_room(settings: Settings) -> Iterator[Mistake]:
    """Yield what keeps a second generation from serving beside the first, as far as the settings know."""
    rollout, pool, gpus = settings.deployment.rollout, settings.node_pool, settings.deployment.gpu_cores
    beside = [name for name in ("replay", "performance", "steps", "canary_traffic_percent") if getattr(rollout, name)]
    if rollout.strategy == "recreate":
        if rollout.performance is not None:
            yield Mistake(
                path="deployment.rollout.performance",
                expected="is measured beside the old version on target 'node-pool', and strategy 'recreate' stops that "
                "first; leave it out, or set deployment.rollout.strategy to 'surge'",
            )
        return
    if not beside:
        return
    path = f"deployment.rollout.{to_camel(beside[-1])}"
    if rollout.steps and pool.autoscale is not None and pool.autoscale.min_replicas == 0:
        yield Mistake(
            path=path,
            expected="judges requests, and with nodePool.autoscale.minReplicas 0 the service may sleep: leave it out, "
            "or set minReplicas to 1",
        )
    preset = presets().get(settings.deployment.compute_target_name, OWN_POOL)
    if pool.spare_gpus is None and preset.elastic:
        return
    replicas, spare = pool.candidate_replicas(rollout.largest_share), pool.spare_gpus or 0
    if replicas * gpus > spare:
        smaller = ", or smaller shares" if replicas > 1 else ""
        yield Mistake(
            path=path,
            expected=f"needs {replicas} replicas of the new version beside the {pool.serving_replicas} that serve, "
            f"with {replicas * gpus} GPUs, and nodePool.spareGpus is {spare}; expected as many spare GPUs{smaller}",
        )


@rule
def _cluster_is_known(settings: Settings) -> Iterator[Mistake]:
    pool = settings.node_pool
    if pool.cluster_stack is None:
        if "kubeconfig_output" in pool.model_fields_set:
            yield Mistake(
                path="nodePool.kubeconfigOutput",
                value=repr(pool.kubeconfig_output),
                expected="expected nodePool.clusterStack too: the output is that stack's",
            )
    elif not _STACK.fullmatch(pool.cluster_stack):
        yield Mistake(
            path="nodePool.clusterStack",
            value=repr(pool.cluster_stack),
            expected="expected a stack's whole name, organization/project/stack, as in 'organization/infra/prod' "
            "(pulumi stack ls --all shows it; outside Pulumi Cloud the organization is 'organization')",
        )


@rule
def _pool_is_known(settings: Settings) -> Iterator[Mistake]:
    pool, name = settings.node_pool, settings.deployment.compute_target_name
    preset = presets().get(name)
    if preset is None and pool.node_selector is None:
        close = difflib.get_close_matches(name, presets(), n=1, cutoff=0.6)
        hint = f"did you mean {close[0]!r}?" if close else f"the presets are {', '.join(presets())}"
        yield Mistake(
            path="deployment.computeTargetName",
            value=repr(name),
            expected=f"expected a preset, or a pool of your own with nodePool.nodeSelector set; {hint}",
        )
    labelled = preset is not None and preset.pool_label is not None and pool.node_selector is None
    for field, value in (("pool", pool.pool), ("accelerator", pool.accelerator)):
        if value is not None and not labelled:
            yield Mistake(
                path=f"nodePool.{field}",
                value=repr(value),
                expected="expected a preset in deployment.computeTargetName and no nodePool.nodeSelector: the preset "
                "says which label holds it",
            )


@rule
def _exposure_is_whole(settings: Settings) -> Iterator[Mistake]:
    exposure = settings.node_pool.exposure
    if exposure.kind == "gateway" and exposure.gateway is None:
        yield Mistake(
            path="nodePool.exposure.gateway", expected="is required where nodePool.exposure.kind is 'gateway'"
        )
    preset = presets().get(settings.deployment.compute_target_name, OWN_POOL)
    if exposure.internal and not (preset.internal_load_balancer or exposure.annotations):
        yield Mistake(
            path="nodePool.exposure.annotations",
            expected="is required where nodePool.exposure.internal is true and deployment.computeTargetName names no "
            "cloud's preset: only an annotation tells your cluster to use a private address",
        )
    if exposure.kind in ("ingress", "gateway") and exposure.host is None:
        yield Mistake(
            path="nodePool.exposure.host", expected=f"is required where nodePool.exposure.kind is '{exposure.kind}'"
        )


@rule
def _sources_are_addresses(settings: Settings) -> Iterator[Mistake]:
    exposure = settings.node_pool.exposure
    if exposure.source_ranges and exposure.kind != "loadBalancer":
        yield Mistake(
            path="nodePool.exposure.sourceRanges",
            expected="is for nodePool.exposure.kind 'loadBalancer', and it is "
            f"'{exposure.kind}': nobody would be kept out",
        )
    for index, source in enumerate(exposure.source_ranges):
        try:
            ipaddress.ip_network(source)
        except ValueError as error:
            yield Mistake(
                path=f"nodePool.exposure.sourceRanges[{index}]",
                value=repr(source),
                expected=f"expected a range of addresses, as in '203.0.113.0/24': {error}",
            )


@rule
def _exposure_is_guarded(settings: Settings) -> Iterator[Mistake]:
    exposure, deployment = settings.node_pool.exposure, settings.deployment
    if deployment.public:
        yield Mistake(
            path="deployment.public",
            value="true",
            expected="expected false on target 'node-pool', where nodePool.exposure opens the front door",
        )
    if exposure.kind == "cluster" or (exposure.kind == "loadBalancer" and exposure.internal):
        return
    if not deployment.auth_enabled:
        yield Mistake(
            path="deployment.authEnabled",
            value="false",
            expected=f"expected true where nodePool.exposure.kind is '{exposure.kind}': anybody could use it",
        )
    if exposure.kind in ("ingress", "gateway") and settings.tls is not None:
        yield Mistake(
            path="tls",
            expected="is for clients that reach Envoy itself: where nodePool.exposure.kind is "
            f"'{exposure.kind}', TLS ends before it; remove it",
        )
    if exposure.kind == "loadBalancer" and settings.tls is None:
        yield Mistake(
            path="tls",
            expected="is required where nodePool.exposure.kind is 'loadBalancer' and nodePool.exposure.internal is "
            "false: keys would cross the network in clear text",
        )
    if exposure.kind == "ingress" and exposure.tls_secret is None:
        yield Mistake(
            path="nodePool.exposure.tlsSecret",
            expected="is required where nodePool.exposure.kind is 'ingress': keys would travel in clear text",
        )


@rule
def _autoscale_can_work(settings: Settings) -> Iterator[Mistake]:
    autoscale = settings.node_pool.autoscale
    if autoscale is None:
        return
    if "num_replicas" in settings.node_pool.model_fields_set:
        yield Mistake(
            path="nodePool.numReplicas",
            value=str(settings.node_pool.num_replicas),
            expected="expected none where nodePool.autoscale is set: minReplicas and maxReplicas say how many",
        )
    if autoscale.max_replicas < max(1, autoscale.min_replicas):
        yield Mistake(
            path="nodePool.autoscale.maxReplicas",
            value=str(autoscale.max_replicas),
            expected=f"expected at least nodePool.autoscale.minReplicas, {autoscale.min_replicas}",
        )
    if autoscale.min_replicas == 0 and not autoscale.keda:
        yield Mistake(
            path="nodePool.autoscale.minReplicas",
            value="0",
            expected="expected 1 or more where nodePool.autoscale.keda is false: only KEDA scales to zero",
        )
    if autoscale.keda and autoscale.prometheus is None and autoscale.by == "queueTime":
        yield Mistake(
            path="nodePool.autoscale.prometheus",
            expected="is required where KEDA scales by queue time, as in 'http://prometheus.monitoring:9090'",
        )
    if autoscale.by == "cpu" and autoscale.min_replicas == 0:
        yield Mistake(
            path="nodePool.autoscale.by",
            value="'cpu'",
            expected="expected 'queueTime' where minReplicas is 0: nothing uses CPU then",
        )
    by_triton = any(isinstance(m, RegisteredModelId) or m.framework is Framework.MULTI for m in settings.models)
    if autoscale.by == "queueTime" and not by_triton:
        yield Mistake(
            path="nodePool.autoscale.by", value="'queueTime'", expected="expected 'cpu' where Triton serves no model"
        )
