"""Kubernetes' JSON as Pulumi resources."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from settings.schema import Settings
from targets.node_pool.rendering import Manifest, Options

__all__ = ["ObjectSet", "cluster_provider", "digest", "given_provider"]

# What Pulumi's plugin would wait for in silence. A Deployment's pods and a Service's endpoints are awaited by
# `NodePoolRollout`, what leads in from outside by `NodePoolAddress`: they know why it is not there.
_NOT_AWAITED = {"pulumi.com/skipAwait": "true"}
# A Deployment that somebody scaled, or that was paused, is the declaration's again with the next update.
_ANNOTATIONS = {
    "Deployment": {**_NOT_AWAITED, "pulumi.com/patchForce": "true"},
    "Service": _NOT_AWAITED,
    "Ingress": _NOT_AWAITED,
}

_CLASSES: dict[tuple[str, str], Any] = {
    ("v1", "Namespace"): k8s.core.v1.Namespace,
    ("v1", "ServiceAccount"): k8s.core.v1.ServiceAccount,
    ("v1", "ConfigMap"): k8s.core.v1.ConfigMap,
    ("v1", "Secret"): k8s.core.v1.Secret,
    ("v1", "Service"): k8s.core.v1.Service,
    ("apps/v1", "Deployment"): k8s.apps.v1.Deployment,
    ("policy/v1", "PodDisruptionBudget"): k8s.policy.v1.PodDisruptionBudget,
    ("networking.k8s.io/v1", "NetworkPolicy"): k8s.networking.v1.NetworkPolicy,
    ("networking.k8s.io/v1", "Ingress"): k8s.networking.v1.Ingress,
    ("autoscaling/v2", "HorizontalPodAutoscaler"): k8s.autoscaling.v2.HorizontalPodAutoscaler,
}


def given_provider(opts: pulumi.ResourceOptions | None) -> pulumi.ProviderResource | None:
    """The Kubernetes provider that a component's options name, its own or its parents'; None where none is named."""
    if opts is None:
        return None
    named = opts.providers or ()
    every: list[pulumi.ProviderResource | None] = list(named.values() if isinstance(named, Mapping) else named)
    every.append(opts.provider)
    for provider in every:
        if provider is not None and provider.package == "kubernetes":
            return provider
    parents: pulumi.ProviderResource | None = None
    if opts.parent is not None:
        parents = opts.parent.get_provider("kubernetes:core/v1:Namespace")
    return parents


def cluster_provider(
    name: str,
    settings: Settings,
    cluster: pulumi.Resource,
    context: str | None,
    kubeconfig: pulumi.Input[str] | None,
    parent: pulumi.Resource,
) -> k8s.Provider:
    """The provider of the cluster that the kubeconfig's context names, once `cluster` was found to be the stack's.

    The context is named where the kubeconfig's current one was meant too: whoever switches it later must not lead a
    `destroy` elsewhere. ConfigMaps and Secrets are changed in place, as running pods that mount them need. Objects of
    the service's names that this stack did not make are an error, or taken over where `deployment.overwrite` is true.
    """
    overwrite = settings.deployment.overwrite
    return k8s.Provider(
        name,
        context=context,
        kubeconfig=kubeconfig,
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        enable_patch_force=overwrite,
        upsert_existing_objects=overwrite,
        # Another name of the same cluster must not replace what runs in it; another cluster is refused.
        cluster_identifier="current",
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[cluster]),
    )


class ObjectSet:
    """Declares objects as children of a component, each after the ones that `depends_on` names."""

    def __init__(self, name: str, options: Options, provider: pulumi.ProviderResource, parent: pulumi.Resource) -> None:
        self._name = name
        self._service = options.settings.service_name
        self._provider = provider
        self._parent = parent

    def declare(
        self, manifest: Manifest, *, depends_on: Sequence[pulumi.Resource] = (), ignore_changes: Sequence[str] = ()
    ) -> Any:
        """The resource of an object, with annotations for Pulumi's plugin added to its own."""
        kind, version = manifest["kind"], manifest["apiVersion"]
        metadata = dict(manifest["metadata"])
        if annotations := _ANNOTATIONS.get(kind):
            metadata["annotations"] = {**metadata["annotations"], **annotations}
        opts = pulumi.ResourceOptions(
            parent=self._parent,
            provider=self._provider,
            depends_on=list(depends_on),
            ignore_changes=list(ignore_changes),
        )
        rest = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind", "metadata")}
        made = _CLASSES.get((version, kind))
        name = self._resource_name(kind, metadata["name"])
        if made is None:
            return k8s.apiextensions.CustomResource(
                name, api_version=version, kind=kind, metadata=metadata, spec=rest["spec"], opts=opts
            )
        return made(name, metadata=metadata, **{_snake(key): value for key, value in rest.items()}, opts=opts)

    def _resource_name(self, kind: str, name: str) -> str:
        suffix = name.removeprefix(self._service)
        return f"{self._name}-{_snake(kind).replace('_', '-')}{suffix if suffix.startswith('-') else ''}"


def digest(manifest: Manifest) -> pulumi.Output[str]:
    """What changes with an object."""
    return pulumi.Output.json_dumps(manifest, sort_keys=True).apply(
        lambda text: hashlib.sha256(text.encode()).hexdigest()[:16]
    )


def _snake(camel: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", camel).lower()
