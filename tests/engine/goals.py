"""The goals that both engines' states are compared by, and what Pulumi's CLI made of them (`record.py`)."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import yaml

from tests.engine.conftest import Stack

DATA = Path(__file__).parent / "data"
RECORD = yaml.safe_load((DATA / "goals.yaml").read_text())
GOALS: list[dict[str, Any]] = RECORD["goals"]
"""Each with the `things` of the stack and `config`; `fails` where the update does, `serial` where resources have
but one order."""
PREVIEWS = (1, 2, 3, 4, 5, 7)
"""The numbers of the goals whose preview, after the goal before, is compared too."""

CLI_ENVIRONMENT = {  # with nothing of its own from the network
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    "PULUMI_DISABLE_REGISTRY_RESOLVE": "true",
    "PULUMI_DISABLE_CI_DETECTION": "true",
}


def declare(stack: Stack, goal: dict[str, Any]) -> None:
    """Writes the goal into the stack's settings, with the recorded salt and token, and puts the plugin on PATH."""
    goal = copy.deepcopy(goal)
    stack.declare(goal["things"], **goal.get("config", {}))
    settings = yaml.safe_load(stack.settings.read_text())
    settings["encryptionsalt"] = RECORD["encryptionsalt"]
    settings["config"]["things:token"] = RECORD["token"]
    stack.settings.write_text(yaml.safe_dump(settings, sort_keys=False))
    plugins = str(stack.folder / "plugin")
    if plugins not in stack.environment["PATH"]:
        stack.environment["PATH"] += f"{os.pathsep}{plugins}"


def make_other(stack: Stack) -> None:
    """Brings up the stack `t`, whose outputs goals refer to."""
    declare(stack, {"things": {}})
    (stack.folder / "Pulumi.t.yaml").write_text(stack.settings.read_text())
    stack.engine("stack", "init", "t", "--no-select")
    stack.up("--stack", "t")


def recorded(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text())
    return document
