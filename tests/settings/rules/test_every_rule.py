"""Each broken rule is told with the setting, its value and the fix."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from settings import rules
from settings.errors import Mistake
from tests.settings.conftest import Check

KEY, OTHER_KEY = "a-key-of-a-users-own", "another-key-of-a-users"


PUBLIC = {"public": True, "maxRequestsPerSecond": 50}


TLS = {"certificateFile": "tls.crt", "keyFile": "tls.key"}


def test_valid_settings_have_no_mistake(mistakes: Check) -> None:
    assert mistakes({}) == []


TABLE: list[tuple[dict[str, Any], list[str]]] = [
    # models
    (
        {"models": [{"path": "nowhere", "name": "digits"}]},
        ["models[0].path has the value 'nowhere': expected a folder; there is none at PROJECT/nowhere"],
    ),
    (
        {"models": [{"path": "models", "name": "digits"}, "digits:1"]},
        [
            "models[0].name has the value 'digits': expected each model's name once in a service",
            "models[1].name has the value 'digits': expected each model's name once in a service",
        ],
    ),
    (
        {"models": ["digits:7"]},
        [
            "models[0] has the value 'digits:7': version 7 of model 'digits' is not registered in "
            "PROJECT/.var/registry; expected one of 1"
        ],
    ),
    (
        {"models": [{"path": "scripts", "name": "digits"}]},
        [
            "models[0].path has the value 'scripts': PROJECT/scripts: has no folder 'triton'; expected "
            "triton/<model>/<version>/<model file>; found none; make it, or use the path of the folder that has it"
        ],
    ),
    (
        {"models": [{"path": "models", "name": "digits"}, {"path": "models", "name": "again"}]},
        [
            "models[1].path has the value 'models': has a model 'digits', and so has models[0].path: Triton serves a "
            "name once; rename one of the two folders"
        ],
    ),
    (
        {"entryScript": None, "models": ["other.model-2:1"]},
        ["entryScript: is required where every model has framework 'Custom': Triton serves none of them"],
    ),
    # places
    (
        {"registry": "foo://b/x", "models": [{"path": "models", "name": "digits"}]},
        [
            "registry has the value 'foo://b/x': registry foo://b/x: Protocol not known: foo; expected a path or a URL "
            "that fsspec knows"
        ],
    ),
    (
        {"registry": "outside.py", "stateDirectory": "outside.py/var"},
        [
            "stateDirectory has the value 'outside.py/var': expected a folder; PROJECT/outside.py is a file",
            "registry has the value 'outside.py': expected a folder; PROJECT/outside.py is a file",
        ],
    ),
    # variables of the entry script server
    (
        {"environment": {"variables": {"MAX_CONCURRENT_REQUESTS": "many", "MINE": "many"}}},
        ["environment.variables.MAX_CONCURRENT_REQUESTS has the value 'many': expected a whole number above zero"],
    ),
    (
        {"environment": {"variables": {"WORKER_COUNT": "0", "MY-VAR": "1"}}},
        [
            "environment.variables.WORKER_COUNT has the value '0': expected a whole number above zero",
            "environment.variables.MY-VAR: is no name of an environment variable; expected letters, digits and '_', no "
            "digit first",
        ],
    ),
    (
        {"environment": {"variables": {"COLLECT_URL": "collected"}}, "deployment": {"target": "docker"}},
        [
            "environment.variables.COLLECT_URL has the value 'collected': expected a URL such as s3://bucket/folder: "
            "files in a container end with it"
        ],
    ),
    # texts
    (
        {"environment": {"variables": {"A": "a\0b", "B": "\ud800", "DATABASE": "postgres://me:secret@host/db"}}},
        [
            "environment.variables.A has the value 'a\\x00b': expected text without a NUL character; remove it",
            "environment.variables.B has the value '\\ud800': expected text that UTF-8 can hold",
        ],
    ),
    (
        {"models": [{"path": "models", "name": "digits", "description": "a\0b", "tags": {"a\0": "b"}}]},
        [
            "models[0].tags.'a\\x00' has the value 'a\\x00': expected text without a NUL character; remove it",
            "models[0].description has the value 'a\\x00b': expected text without a NUL character; remove it",
        ],
    ),
    (
        {"environment": {"pipPackages": ["x @ https://me:s3cret@host/x.whl", "y @ https://host/y.whl?sig=s3cret"]}},
        [
            f"environment.pipPackages[{index}] has the value '{shown}': has {what}, and the state and its history "
            "would show it; leave it out, and put it into ~/.netrc (machine <host> login <user> password <token>), "
            "which is read on target 'process', or ask for the package by its name and name its index, with the "
            "credential, in PIP_EXTRA_INDEX_URL or pip's configuration: neither gets into the state"
            for index, (shown, what) in enumerate(
                [("x @ https://me:***@host/x.whl", "a password"), ("y @ https://host/y.whl?***", "'sig' in its query")]
            )
        ],
    ),
    # environment
    (
        {"environment": {"clone": "AzureML-Trition"}},
        [
            "environment.clone has the value 'AzureML-Trition': environment 'AzureML-Trition' is not a curated "
            "environment; did you mean 'AzureML-Triton'?"
        ],
    ),
    (
        {"environment": {"clone": None, "name": "sklearn"}},
        [
            "environment.name has the value 'sklearn': environment 'sklearn' is not a curated environment; "
            "there is 'AzureML-Triton'"
        ],
    ),
    (
        {"environment": {"pipPackages": ["nltk=3", "orjson<3"]}},
        [
            "environment.pipPackages[0]: pip package 'nltk=3' is not a requirement as PEP 508 writes it, like 'nltk' "
            "or 'nltk==3.9.1': Expected semicolon (after name with no version specifier) or end",
            "environment.pipPackages[1]: pip package 'orjson<3' contradicts the curated environment 'AzureML-Triton', "
            "which pins 'orjson==3.13.0'; leave orjson out, or ask for a range that holds the pinned version",
        ],
    ),
    # entry script
    (
        {"sourceDirectory": "src"},
        ["sourceDirectory has the value 'src': expected a folder at PROJECT/src"],
    ),
    (
        {"entryScript": "scoer.py"},
        [
            "entryScript has the value 'scoer.py': expected a Python file in PROJECT/scripts; the scripts there: "
            "score.py"
        ],
    ),
    (
        {"entryScript": "../outside.py"},
        ["entryScript has the value '../outside.py': expected a file inside sourceDirectory"],
    ),
    (
        {"entryScript": None, "models": [{"path": "models", "name": "digits", "framework": "Custom"}]},
        ["entryScript: is required where every model has framework 'Custom': Triton serves none of them"],
    ),
    # keys
    (
        {"primaryKey": KEY},
        ["primaryKey: stands in plain text; set it with: pulumi config set --secret primaryKey <key>"],
    ),
    # the public address
    (
        {"deployment": {"public": True, "authEnabled": False}},
        [
            "deployment.authEnabled has the value false: expected true where deployment.public is true: whoever "
            "reaches this machine could use it",
            "tls: is required where deployment.public is true: keys would cross the network in clear text",
            "deployment.maxRequestsPerSecond: is required where deployment.public is true: without a limit one caller "
            "can take all there is",
        ],
    ),
    # this machine
    (
        {"deployment": {"gpuCores": 1}},
        [
            "deployment.gpuCores has the value 1: expected at most 0 on target 'process': this machine has no NVIDIA "
            "GPU (looked for /dev/nvidia0 and so on, then asked nvidia-smi)"
        ],
    ),
    (
        {"deployment": {"cpuCores": 2.5, "memoryGb": 9}},
        [
            "deployment.cpuCores has the value 2.5: expected at most 2 on target 'process', the processors of "
            "this machine",
            "deployment.memoryGb has the value 9: expected at most 8 on target 'process', the gigabytes of memory of "
            "this machine",
        ],
    ),
    # another target's settings
    (
        {"nodePool": {"numReplicas": 2}},
        [
            "nodePool: is read by target 'node-pool' alone, and deployment.target is 'process': remove it, or set the "
            "target"
        ],
    ),
]


@pytest.mark.parametrize(("changes", "messages"), TABLE, ids=[messages[0].split(":")[0] for _, messages in TABLE])
def test_a_broken_rule_is_told_with_the_fix(
    mistakes: Check, project: Path, changes: dict[str, Any], messages: list[str]
) -> None:
    (project / "outside.py").write_text("")
    assert mistakes(changes) == messages


def test_every_rule_ends_where_it_reads_a_setting_without_a_valid_form() -> None:
    modules = [
        importlib.import_module(f"{rules.__name__}.{module.name}") for module in pkgutil.iter_modules(rules.__path__)
    ]
    found = [
        function
        for module in modules
        for function in vars(module).values()
        if inspect.isfunction(function)
        and function.__module__.startswith(rules.__name__)
        and get_type_hints(function).get("return") == Iterator[Mistake]
    ]
    assert len(found) > 50
    assert [function.__qualname__ for function in found if not hasattr(function, "__wrapped__")] == []
