"""Rendered objects of node pools, and messages as they were reviewed."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from tests.targets.node_pool import conftest as node_pool

MESSAGES = Path(__file__).with_name("messages.yaml")

certificate = node_pool.certificate
options = node_pool.options


@pytest.fixture
def reviewed(request: pytest.FixtureRequest) -> Callable[[Sequence[str]], None]:
    """Compare messages with those that were reviewed; UPDATE_SNAPSHOTS=1 in the environment renews them."""

    def compare(messages: Sequence[str]) -> None:
        kept = yaml.safe_load(MESSAGES.read_text()) if MESSAGES.is_file() else {}
        if os.environ.get("UPDATE_SNAPSHOTS"):
            kept[request.node.name] = list(messages)
            MESSAGES.write_text(yaml.safe_dump(kept, width=100_000, allow_unicode=True))
        assert list(messages) == kept.get(request.node.name)

    return compare
