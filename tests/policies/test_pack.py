"""The rules under Pulumi's CLI: the pack in its own environment, spoken to as the CLI does, and by the CLI itself."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from policies.configuration import configured
from policies.rules.every_rule import RULES
from policies.stack import Mark, Stack
from tests.policies.resources import door, findings, provider, rendered, resource, service

PROJECT = Path(__file__).resolve().parents[2]
PYTHON = PROJECT / ".var" / "policies" / "venv" / "bin" / "python"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="the policy pack's packages are not installed: make policy-pack does it"
)


@pytest.fixture(scope="module")
def pack() -> Iterator[Any]:
    """The pack, started as Pulumi's language host starts it."""
    environment = {"PULUMI_PROJECT": "triton-serving", "PULUMI_STACK": "prod", "PULUMI_DRY_RUN": "true"}
    process = subprocess.Popen(
        [str(PYTHON), "-u", "-m", "pulumi.policy", "127.0.0.1:1", str(PROJECT / "policies")],
        stdout=subprocess.PIPE,
        cwd=PROJECT,
        env={**os.environ, **environment, "PYTHONDONTWRITEBYTECODE": "1"},
        text=True,
    )
    try:
        assert process.stdout is not None
        with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
            yield analyzer_pb2_grpc.AnalyzerStub(channel)
    finally:
        process.kill()
        process.wait()


def properties(value: Any) -> Any:
    """Inputs as the engine sends them."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(item) for name, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return UNKNOWN if value is Mark.UNKNOWN else value

    return json_format.ParseDict(plain(value), struct_pb2.Struct())


def told(pack: Any, resources: list[Any]) -> set[tuple[str, str]]:
    """What the pack says: each rule's name with a message."""
    found = []
    for each in resources:
        request = analyzer_pb2.AnalyzeRequest(
            type=each.type, urn=each.urn, name=each.name, properties=properties(each.props)
        )
        found += pack.Analyze(request).diagnostics
    every = [
        analyzer_pb2.AnalyzerResource(type=each.type, urn=each.urn, name=each.name, properties=properties(each.props))
        for each in resources
    ]
    found += pack.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=every)).diagnostics
    return {(each.policyName, each.message.split("\n")[-1]) for each in found}


def test_the_pack_describes_every_rule_with_its_options(pack: Any) -> None:
    info = pack.GetAnalyzerInfo(empty_pb2.Empty())
    assert info.name == "triton-serving"
    levels = {each.name: analyzer_pb2.EnforcementLevel.Name(each.enforcementLevel).lower() for each in info.policies}
    assert levels == {rule.name: rule.level.value for rule in RULES}
    schemas = {each.name: json_format.MessageToDict(each.configSchema.properties) for each in info.policies}
    assert schemas["second-replica"]["least"] == {
        "type": "integer",
        "minimum": 1,
        "default": 2,
        "description": "the pods that there are at least",
    }
    assert set(schemas["no-plain-secrets"]) == {"names", "allowed"}
    assert schemas["no-overwrite-in-production"]["tags"]["default"] == {"environment": "production"}


def test_the_pack_says_what_make_policy_says(pack: Any, options: Any) -> None:
    public = {"exposure": {"kind": "gateway", "host": "models.example", "gateway": {"name": "public"}}}
    resources = [
        door(public=True, authEnabled=False),
        service(overwrite=True, variables={"API_TOKEN": "a", "LATER": UNKNOWN}),
        service("DockerService", image=UNKNOWN, bundles=[UNKNOWN, "x"]),
        provider(upsertExistingObjects="true"),
        resource("docker:index/remoteImage:RemoteImage", "image", {"name": "envoy:latest"}),
        *rendered(options(pool=public)),
    ]
    expected = {(finding.rule, finding.message) for finding in findings(Stack("prod", resources), configured({}))}
    assert {rule for rule, _ in expected} == {rule.name for rule in RULES} - {"limits-set"}
    assert told(pack, resources) == expected


def test_the_packs_configuration_counts(pack: Any) -> None:
    def configure(**options: Any) -> None:
        config = analyzer_pb2.PolicyConfig(
            enforcementLevel=analyzer_pb2.ADVISORY, properties=json_format.ParseDict(options, struct_pb2.Struct())
        )
        request = analyzer_pb2.ConfigureAnalyzerRequest(policyConfig={"no-plain-secrets": config})
        pack.Configure(request)

    request = analyzer_pb2.AnalyzeRequest(
        type="triton:index:ProcessService", urn=service().urn, properties=properties({"variables": {"API_TOKEN": "a"}})
    )
    try:
        configure(names=["*TOKEN"])
        (found,) = pack.Analyze(request).diagnostics
        assert found.enforcementLevel == analyzer_pb2.ADVISORY
        configure(allowed=["API_*"])
        assert not pack.Analyze(request).diagnostics
    finally:
        pack.Configure(analyzer_pb2.ConfigureAnalyzerRequest())


@pytest.mark.skipif(shutil.which("pulumi") is None, reason="Pulumi's CLI is not on PATH")
def test_pulumis_cli_runs_the_pack(tmp_path: Path) -> None:
    left_out = shutil.ignore_patterns(".*", "__pycache__", "tests", "benchmarks", "docs")
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=left_out)
    (project / ".venv").symlink_to(PROJECT / ".venv")
    (project / ".var").mkdir()
    (project / ".var" / "policies").symlink_to(PROJECT / ".var" / "policies")
    stack = project / "stacks" / "Pulumi.local.yaml"
    stack.write_text(stack.read_text().replace("authEnabled: true", "authEnabled: false").replace("6789", "6788"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    environment = kept | {
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path}",
        "PULUMI_CONFIG_PASSPHRASE": "a passphrase for tests",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }

    def pulumi(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["pulumi", *arguments, "--stack", "local", "--non-interactive"]
        return subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=240
        )

    assert pulumi("stack", "init").returncode == 0
    shown = pulumi("preview", "--policy-pack", "policies")
    assert shown.returncode != 0
    assert "[mandatory]  keys-on  (triton:index:ProcessFrontDoor: gateway-front-door)" in shown.stdout, shown.stdout
    configuration = tmp_path / "configuration.json"
    configuration.write_text(json.dumps({"keys-on": "advisory"}))
    shown = pulumi("preview", "--policy-pack", "policies", "--policy-pack-config", str(configuration))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "[advisory]  keys-on" in shown.stdout
