"""The objects of each stack, as they were reviewed; UPDATE_SNAPSHOTS=1 in the environment renews them."""

import os
from pathlib import Path

import pytest
import yaml

from environment.image_layout import repository
from settings.load import read_stack_file
from targets.node_pool.objects.every_object import objects
from targets.node_pool.rendering import Contents, Options

PROJECT = Path(__file__).resolve().parents[3]
SNAPSHOTS = Path(__file__).with_name("snapshots")
STACKS = ("aks-gpu", "aks-gpu-triton", "eks-gpu", "gke-gpu", "karpenter")


class WithoutAnchors(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


@pytest.mark.parametrize("stack", STACKS)
def test_a_stacks_objects_are_as_reviewed(stack):
    settings = read_stack_file(PROJECT, stack)
    options = Options(
        settings=settings,
        triton=True,
        scorer=settings.entry_script is not None,
        owner=f"organization/triton-serving/{stack}",
        contents=Contents(
            image=f"{settings.image.repository}@sha256:{'0' * 64}",
            repositories=(repository("triton_model", 1),),
            gateway_version="0" * 16,
            primary_key="<primary key>",
            secondary_key="<secondary key>",
            gateway_keys="<keys.json>",
        ),
    )
    manifests = objects(options)
    for manifest in manifests:
        if manifest["metadata"]["name"].endswith("-front-door") and manifest["kind"] == "ConfigMap":
            manifest["data"] = dict.fromkeys(manifest["data"], "<of Envoy, from the package gateway>")
    rendered = yaml.dump_all(manifests, Dumper=WithoutAnchors, sort_keys=False, width=120)
    file = SNAPSHOTS / f"{stack}.yaml"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(rendered)
    assert rendered == file.read_text()
