"""Mistakes of substance: what the settings say of each other, the disk, this machine, and people's safety."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundle.layout import check_layout
from bundle.registry import Registry
from settings import Settings, machine
from settings.variable_rules import served_variables
from tests import onnx_models
from tests.certificates import make_certificate
from tests.settings.conftest import SCRIPT, Check

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


def test_a_folder_may_lie_outside_of_the_project(mistakes: Check, project: Path) -> None:
    outside = project.parent / f"{project.name}-beside"
    shutil.copytree(project / "models", outside)
    (outside / "score.py").write_text(SCRIPT)
    assert (
        mistakes({"sourceDirectory": f"../{outside.name}", "models": [{"path": str(outside), "name": "digits"}]}) == []
    )


@pytest.mark.parametrize(
    ("script", "wrong"),
    [
        ("def init(:\n", "expected Python; line 1: "),
        ("def init(): ...\n", "expected functions init() and run(data); run is not in the file"),
        ("RUN = 1\n", "expected functions init() and run(data); init and run are not in the file"),
    ],
)
def test_a_script_that_the_server_cannot_load_is_told(mistakes: Check, project: Path, script: str, wrong: str) -> None:
    (project / "scripts" / "score.py").write_text(script)
    (mistake,) = mistakes({})
    assert mistake.startswith(f"entryScript has the value 'score.py': {wrong}")


@pytest.mark.parametrize(
    "script",
    [
        "from base import *\n",
        "from base import init, run\n",
        "async def init(): ...\nasync def run(data): ...\n",
        "init = run = print\n",
        "if True:\n    def init(): ...\nelse:\n    init = None\ntry:\n    run = 1\nfinally:\n    pass\n",
    ],
)
def test_a_script_may_get_its_functions_in_any_way(mistakes: Check, project: Path, script: str) -> None:
    (project / "scripts" / "score.py").write_text(script)
    assert mistakes({}) == []


@pytest.mark.parametrize("golden", ["{", "[]", '{"request": 1}'])
def test_a_golden_request_that_cannot_be_read_is_told(mistakes: Check, project: Path, golden: str) -> None:
    (project / "scripts" / "score.golden.json").write_text(golden)
    assert mistakes({}) == [
        "entryScript has the value 'score.py': PROJECT/scripts/score.golden.json: expected JSON, "
        '{"request": ..., "response": ...} or {"requestFile": ..., "contentType": ..., "response": ...}'
    ]
    (project / "scripts" / "score.golden.json").write_text(json.dumps({"request": 1, "response": 2}))
    assert mistakes({}) == []


@pytest.mark.parametrize(
    ("golden", "expected"),
    [
        ({"requestFile": "cat.png"}, "requestFile 'cat.png' is not there; expected a file at PROJECT/scripts/cat.png"),
        ({"requestFile": 1}, "expected texts for requestFile and contentType"),
        ({"requestFile": "large.png"}, "requestFile 'large.png' has 1048577 bytes; expected at most 1048576"),
        ({"requestFile": "small.png"}, None),
        ({"requestFile": "small.png", "request": 1}, "expected JSON, "),
    ],
)
def test_the_file_of_a_golden_request_is_looked_at(
    mistakes: Check, project: Path, golden: dict[str, Any], expected: str | None
) -> None:
    (project / "scripts" / "score.golden.json").write_text(json.dumps({**golden, "response": "cat"}))
    (project / "scripts" / "small.png").write_bytes(b"x")
    (project / "scripts" / "large.png").write_bytes(bytes((1 << 20) + 1))
    found = mistakes({})
    assert [expected in line for line in found] == [True] if expected else found == []


@pytest.mark.parametrize("committed", [True, False])
def test_a_golden_inference_that_is_too_large_for_the_front_door_is_told(
    mistakes: Check, project: Path, committed: bool
) -> None:
    folder = project / "models" / "triton" / "wide"
    dims = ("batch", 700_000)
    onnx_models.save_scaling(folder / "1", 2, dims)
    if committed:
        request = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, dims[1]], "data": [0] * dims[1]}]}
        response = {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, dims[1]], "data": [0] * dims[1]}]}
        (folder / "golden.json").write_text(json.dumps({"request": request, "response": response}))
    assert mistakes({"deployment": {"maxRequestMegabytes": 1}}) == [
        "deployment.maxRequestMegabytes has the value 1: the golden inference of 'wide' has some 2.0 MB, and the check "
        "after a deployment sends it through the front door; expected 3 or more"
    ]
    assert mistakes({}) == []


def test_a_registered_model_that_the_target_cannot_serve_is_told(mistakes: Check, project: Path) -> None:
    saved = project / "tf" / "triton" / "m" / "1" / "model.savedmodel"
    saved.mkdir(parents=True)
    (saved / "saved_model.pb").write_bytes(b"x")
    registry = Registry(str(project / ".var" / "registry"))
    registry.register("tf", check_layout(project / "tf", target="docker"), framework="Multi")
    assert mistakes({"models": ["tf:1"]}) == [
        "models[0] has the value 'tf:1': triton/m: target 'process' cannot serve TensorFlow models; expected a target "
        "that can: docker, node-pool; choose one, or convert the model to ONNX"
    ]
    assert mistakes({"models": ["tf:1"], "deployment": {"target": "docker"}}) == []


def test_instance_groups_fit_the_number_of_gpus(
    mistakes: Check, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "gpus", lambda: 1)
    assert mistakes({"deployment": {"gpuCores": 1}}) == []
    config = project / "models" / "triton" / "digits" / "config.pbtxt"
    config.write_text("instance_group [ { kind: KIND_CPU } ]")
    (found,) = mistakes({"deployment": {"gpuCores": 1}})
    assert found.startswith(
        "deployment.gpuCores has the value 1: no model would run on a GPU: each has KIND_CPU in its"
    )
    config.write_text("instance_group [ { kind: KIND_GPU } ]")
    assert mistakes({"deployment": {"gpuCores": 1}}) == []
    (found,) = mistakes({})
    assert "an instance_group of 'digits' has KIND_GPU, and deployment.gpuCores is 0: set that" in found


def test_a_given_key_is_not_rotated_by_its_edition(mistakes: Check) -> None:
    assert mistakes({"keyRotation": {"primary": 2}}) == []
    assert mistakes({"keyRotation": {"primary": 2}, "primaryKey": KEY}, secret=("primaryKey",)) == [
        "keyRotation.primary has the value 2: does nothing while primaryKey is given: remove this, and set another "
        "primaryKey to rotate it"
    ]


def test_encrypted_keys_are_taken(mistakes: Check) -> None:
    keys = {"primaryKey": KEY, "secondaryKey": OTHER_KEY}
    assert mistakes(keys, secret=("primaryKey", "secondaryKey")) == []
    assert [mistake.split(":")[0] for mistake in mistakes(keys, secret=("primaryKey",))] == ["secondaryKey"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"primaryKey": "short"}, "primaryKey: has 5 characters, expected 16 to 256"),
        (
            {"secondaryKey": "sixteen letters!"},
            "secondaryKey: has a character that a bearer token cannot have; use letters, digits and -._~+/, '=' at the "
            "end",
        ),
        (
            {"primaryKey": KEY, "secondaryKey": KEY},
            "secondaryKey: equals primaryKey; expected another key, so that one can be rotated while the other works",
        ),
    ],
)
def test_a_key_that_cannot_serve_is_told_without_being_quoted(
    mistakes: Check, keys: dict[str, str], message: str
) -> None:
    found = mistakes(keys, secret=("primaryKey", "secondaryKey"))
    assert found == [message]
    assert not [key for key in keys.values() if key in message]


def test_a_registry_with_a_password_is_refused_without_quoting_it(mistakes: Check) -> None:
    found = mistakes({"registry": "memory://me:s3cret@host/models"})
    assert "s3cret" not in "".join(found)
    assert found[0].startswith(
        "registry has the value 'memory://me:***@host/models': has a password, and the state and its history would "
        "show it; leave it out, and say it to the store's own library: in ~/.config/fsspec/conf.json"
    )


def test_a_public_service_with_keys_tls_and_a_limit_is_taken(mistakes: Check, project: Path) -> None:
    make_certificate(project)
    assert mistakes({"deployment": PUBLIC, "tls": TLS}) == []


@pytest.mark.parametrize(
    ("url", "served"),
    [
        ("collected", "PROJECT/collected"),
        ("../collected", "PARENT/collected"),
        ("/abs/collected", "/abs/collected"),
        ("file://collected", "PROJECT/collected"),
        ("~/collected", "HOME/collected"),
        ("s3://bucket/collected", "s3://bucket/collected"),
    ],
)
def test_collected_data_go_where_a_path_of_the_settings_would(
    settings_of: Callable[..., Settings], project: Path, url: str, served: str
) -> None:
    for word, place in (("PROJECT", project), ("PARENT", project.parent), ("HOME", Path.home())):
        served = served.replace(word, str(place))
    settings = settings_of({"environment": {"variables": {"COLLECT_URL": url, "A": "b"}}})
    assert served_variables(settings) == {"COLLECT_URL": served, "A": "b"}


def test_a_script_may_be_linked_from_elsewhere_and_broken_links_are_told(mistakes: Check, project: Path) -> None:
    script = project / "scripts" / "score.py"
    script.rename(project / "elsewhere.py")
    script.symlink_to("../elsewhere.py")
    (project / "scripts" / ".hidden.py").write_text(SCRIPT)
    assert mistakes({}) == []
    (project / "scripts" / "weights").symlink_to("/nowhere")
    assert mistakes({"entryScript": ".hidden.py"}) == [
        "sourceDirectory has the value 'scripts': weights: a link to '/nowhere', which leads nowhere; remove it, or "
        "put the file there",
        "entryScript has the value '.hidden.py': is left out, as names that start with a dot and what tools make are; "
        "rename it",
    ]


def test_a_service_without_keys_is_taken_on_loopback(mistakes: Check) -> None:
    assert mistakes({"deployment": {"authEnabled": False}}) == []


def test_certificate_files_that_are_not_there_are_named(mistakes: Check) -> None:
    assert mistakes({"tls": TLS}) == [
        "tls.certificateFile has the value 'tls.crt': expected a PEM file at PROJECT/tls.crt",
        "tls.keyFile has the value 'tls.key': expected a PEM file at PROJECT/tls.key",
    ]


def test_files_without_certificate_and_key_are_refused(mistakes: Check, project: Path) -> None:
    for name in TLS.values():
        (project / name).write_text("nothing of the kind\n")
    assert mistakes({"tls": TLS}) == [
        "tls.certificateFile has the value 'tls.crt': expected a file with a certificate in PEM",
        "tls.keyFile has the value 'tls.key': expected a file with a private key in PEM, without a password",
    ]


def test_a_key_of_another_certificate_is_refused(mistakes: Check, project: Path) -> None:
    make_certificate(project)
    _, key = make_certificate(project / "other")
    key.replace(project / "tls.key")
    assert mistakes({"tls": TLS}) == [
        "tls.keyFile has the value 'tls.key': expected the private key of tls.certificateFile; it is another's"
    ]


def test_a_certificate_that_ended_is_refused(mistakes: Check, project: Path) -> None:
    make_certificate(project, days=-2)
    (found,) = mistakes({"tls": TLS})
    assert found.startswith(
        "tls.certificateFile has the value 'tls.crt': expected a certificate in force; this one ended on 20"
    )


def test_certificate_and_key_lie_in_one_folder(mistakes: Check, project: Path) -> None:
    _, key = make_certificate(project)
    (project / "private").mkdir()
    key.replace(project / "private" / "tls.key")
    assert mistakes({"tls": {"certificateFile": "tls.crt", "keyFile": "private/tls.key"}}) == [
        "tls.keyFile has the value 'private/tls.key': expected a file in the folder of tls.certificateFile, PROJECT: a "
        "renewal replaces both there"
    ]


def test_a_machine_that_cannot_run_triton_is_told_why_unless_triton_has_nothing_to_do(
    mistakes: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "why_not", lambda wheel: (f"needs glibc {wheel.glibc}", "needs libpython"))
    assert mistakes({}) == [
        "deployment.target has the value 'process': needs glibc 2.35",
        "deployment.target has the value 'process': needs libpython",
    ]
    assert mistakes({"models": [{"path": "models", "name": "digits", "framework": "Custom"}]}) == []
    assert mistakes({"deployment": {"target": "docker", "gpuCores": 8, "cpuCores": 96, "memoryGb": 900}}) == []


def test_defaults_are_nobodys_mistake(mistakes: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory_gb", lambda: 1.0)
    assert mistakes({}) == []
    assert mistakes({"deployment": {"memoryGb": 4}}) != []


def test_gpus_are_counted_by_their_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_GPU_DEVICES", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpus() == 0
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert machine.gpus() == 2


def test_gpus_are_asked_for_where_they_have_no_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_GPU_DEVICES", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!{sys.executable}\nprint('GPU 0: NVIDIA T4 (UUID: GPU-1)')\n")
    program.chmod(0o755)
    assert machine.gpus() == 1
    program.write_text(f"#!{sys.executable}\nraise SystemExit(9)\n")
    assert machine.gpus() == 0


def test_this_machine_has_processors_and_memory() -> None:
    assert machine.processors() == int(subprocess.check_output(["nproc"]))
    assert machine.memory_gb() > 0.1
