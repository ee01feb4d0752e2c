"""Rules over what the settings of target `node-pool` say about pods: sizes, labels, taints, models and Secrets."""

import re
from collections.abc import Iterator, Mapping

from bundle.triton_storage import triton_url
from settings.errors import Mistake
from settings.rules.rule import rule
from settings.schema import Framework, Model, Settings

__all__ = ["pod_rules"]

REMOTE_SCHEMES = "s3://<bucket>, gs://<bucket> or abfs://<container>@<account>.dfs.core.windows.net"
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_OWN_LABELS = "app.kubernetes.io/"


@rule
def pod_rules(settings: Settings) -> Iterator[Mistake]:
    """Yield the rules that pods on a node pool would break."""
    for judge in (_limits_hold_requests, _shared_memory_fits, _labels_are_labels, _tolerations_are_whole):
        yield from judge(settings)
    yield from _models_can_be_read(settings)
    yield from _secrets_can_be_there(settings)


@rule
def _limits_hold_requests(settings: Settings) -> Iterator[Mistake]:
    pool, deployment = settings.node_pool, settings.deployment
    for field, limit, request in (
        ("cpuCores", pool.cpu_cores_limit, deployment.cpu_cores),
        ("memoryGb", pool.memory_gb_limit, deployment.memory_gb),
    ):
        if limit is not None and limit < request:
            yield Mistake(
                path=f"nodePool.{field}Limit",
                value=f"{limit:g}",
                expected=f"expected at least deployment.{field}, {request:g}",
            )


@rule
def _shared_memory_fits(settings: Settings) -> Iterator[Mistake]:
    pool = settings.node_pool
    if pool.shm_mb is None:
        return
    memory = max(pool.memory_gb_limit or 0, settings.deployment.memory_gb) * 1024
    share = 1 - pool.scorer_share if settings.entry_script is not None else 1
    if pool.shm_mb >= memory * share:
        yield Mistake(
            path="nodePool.shmMb",
            value=str(pool.shm_mb),
            expected=f"expected less than Triton's memory, {memory * share:.0f} MB: it counts as part of it",
        )


@rule
def _labels_are_labels(settings: Settings) -> Iterator[Mistake]:
    pool = settings.node_pool
    yield from _labels("nodePool.nodeSelector", pool.node_selector or {})
    yield from _labels("nodePool.podLabels", pool.pod_labels)
    for key in pool.pod_labels:
        if key.startswith(_OWN_LABELS):
            yield Mistake(
                path="nodePool.podLabels",
                value=repr(key),
                expected=f"expected other labels than {_OWN_LABELS}*: by those the service finds its pods",
            )
    for field, value in (("pool", pool.pool), ("accelerator", pool.accelerator)):
        if value is not None and not _LABEL_VALUE.fullmatch(value):
            yield Mistake(path=f"nodePool.{field}", value=repr(value), expected="expected the value of a node's label")


@rule
def _labels(path: str, labels: Mapping[str, str]) -> Iterator[Mistake]:
    for key, value in labels.items():
        if not (_LABEL_KEY.fullmatch(key) and _LABEL_VALUE.fullmatch(value)):
            yield Mistake(
                path=path,
                value=repr(f"{key}={value}"),
                expected="expected a label of Kubernetes: a key such as 'team' or 'example.com/team' and a value, each "
                "of up to 63 letters, digits, '-', '_' and '.'",
            )


@rule
def _tolerations_are_whole(settings: Settings) -> Iterator[Mistake]:
    for index, toleration in enumerate(settings.node_pool.tolerations or []):
        if toleration.operator == "Exists" and toleration.value is not None:
            yield Mistake(
                path=f"nodePool.tolerations[{index}].value",
                value=repr(toleration.value),
                expected="expected none where operator is 'Exists': Kubernetes refuses it",
            )


@rule
def _models_can_be_read(settings: Settings) -> Iterator[Mistake]:
    pool = settings.node_pool
    if pool.models_from != "registry":
        return
    url = triton_url(settings.registry)
    if url is None:
        yield Mistake(
            path="registry",
            value=repr(settings.registry.written),
            expected=f"expected {REMOTE_SCHEMES} where nodePool.modelsFrom is 'registry': Triton reads it from there",
        )
    # Newer images than the curated one's take a pod's identity, by a variable.
    by_identity = "AZURE_STORAGE_AUTH_TYPE" in settings.environment.variables
    if url is not None and url.startswith("as://") and pool.credentials_secret is None and not by_identity:
        yield Mistake(
            path="nodePool.credentialsSecret",
            expected="is required where Triton reads from Azure: the curated image's takes an account's key, "
            "AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, and no pod's identity",
        )
    for index, model in enumerate(settings.models):
        if isinstance(model, Model) and model.framework is Framework.CUSTOM:
            yield Mistake(
                path=f"models[{index}].framework",
                value="'Custom'",
                expected="expected 'Multi' where nodePool.modelsFrom is 'registry': the entry script finds its models "
                "in the image alone",
            )


@rule
def _secrets_can_be_there(settings: Settings) -> Iterator[Mistake]:
    pool = settings.node_pool
    needed = [*pool.image_pull_secrets, *([pool.credentials_secret] if pool.credentials_secret else [])]
    if pool.create_namespace and needed:
        yield Mistake(
            path="nodePool.createNamespace",
            value="true",
            expected=f"expected false: pods need the Secret {needed[0]} when they start, so make the namespace and the "
            f"Secret first, with: kubectl create namespace {pool.namespace}",
        )
