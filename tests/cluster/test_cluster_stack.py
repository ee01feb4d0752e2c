"""A service whose cluster is another stack's: by that stack's kubeconfig alone, with both engines."""

import json
import os
import shlex
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.kube import KINDS, Kube
from tests.cluster.service import POOL
from tests.cluster.test_pulumi import Declared, front_door
from tests.e2e.project import Project, Result, by_pulumi

CLUSTER = "organization/infra/prod"
INFRA = """\
import os
from pathlib import Path

import pulumi

pulumi.export("kubeconfig", pulumi.Output.secret(Path(os.environ["INFRA_KUBECONFIG"]).read_text()))
"""
PULUMI_YAML = "name: infra\nruntime: {name: python, options: {toolchain: pip, virtualenv: ../.venv}}\n"
IN_ONE_PROGRAM = """\
    import pulumi_kubernetes as k8s

    from components.node_pool_deployment import NodePoolDeployment, NodePoolDeploymentArgs

    text = Path(os.environ["INFRA_KUBECONFIG"]).read_text()
    kubeconfig = pulumi.Output.secret(keys.primary.apply(lambda _known_at_up: text))
    deployment = NodePoolDeployment(
        "mine",
        NodePoolDeploymentArgs(settings, bundles=bundles, image=settings.image.reference, kubeconfig=kubeconfig),
        pulumi.ResourceOptions(providers=[k8s.Provider("prod", kubeconfig=kubeconfig)]),
    )
"""
WRONG = "wrong-token-of-somebody-else"

pytestmark = pytest.mark.skipif(
    shutil.which("pulumi-resource-kubernetes") is None, reason="pulumi-resource-kubernetes is not on PATH"
)


class FromStack(Declared):
    """The project with a service in the cluster of a stack beside it, on a machine that knows no cluster itself."""

    def __init__(self, root: Path, namespace: str, built: Any, *, cli: bool) -> None:
        self.cli = cli
        self.shown: list[str] = []
        super().__init__(root, "from-stack", namespace, "unused", built.envoy)
        for name in ("home", "tmp", "infra"):
            (root / name).mkdir()
        del self.environment["KUBECONFIG"]
        self.kubeconfig = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
        self.environment |= {
            "HOME": str(root / "home"),
            "TMPDIR": str(root / "tmp"),
            "INFRA_KUBECONFIG": str(root.parent / f"{root.name}.kubeconfig"),
        }
        (root / "infra" / "__main__.py").write_text(INFRA)
        (root / "infra" / "Pulumi.yaml").write_text(PULUMI_YAML)
        made = self.engine("--cwd", "infra", "stack", "init", "prod")
        assert made.code == 0, made.text
        self.settings["image"] = {"reference": built.good[0]}
        self.write_settings(nodePool={"clusterStack": CLUSTER}, serviceName=self.service)

    @property
    def service(self) -> str:
        return "by-cli" if self.cli else "by-engine"

    @property
    def token(self) -> str:
        return str(self.kubeconfig["users"][0]["user"]["token"])

    def command(self, *arguments: str) -> list[str]:
        return by_pulumi(*arguments) if self.cli else Project.command(self, *arguments)

    def _run(self, command: list[str], given: str = "") -> Result:
        done = super()._run(command, given)
        self.shown.append(done.text)
        return done

    def up_infra(self, *, token: str = "", more: str = "") -> None:
        """Have the other stack export a kubeconfig, with another token or with more text."""
        written = json.loads(json.dumps(self.kubeconfig))
        if token:
            written["users"][0]["user"]["token"] = token
        Path(self.environment["INFRA_KUBECONFIG"]).write_text(yaml.safe_dump(written) + more)
        done = self.engine("--cwd", "infra", "up", "--yes", "--stack", "prod")
        assert done.code == 0, done.text

    def asked(self, verb: str) -> Result:
        engine = "pulumi" if self.cli else shlex.join([sys.executable, "-m", "engine"])
        cluster = json.dumps(self.outputs()["cluster"])
        return self.operate(verb, "--cluster", cluster, "--engine", engine)

    def kept_kubeconfigs(self) -> list[str]:
        """The kubeconfigs in the state, by which resources are read and deleted."""
        shown = self.engine("stack", "export", "--show-secrets", "--stack", self.stack)
        self.shown.remove(shown.text)
        resources = json.loads(shown.text[shown.text.index("{") :])["deployment"]["resources"]
        ours = (one for one in resources if one["type"].startswith("triton:") and "kubeconfig" in one.get("inputs", {}))
        found = [json.loads(one["inputs"]["kubeconfig"]["plaintext"]) for one in ours]
        assert len(found) == 6
        return found

    def changes(self) -> set[str]:
        """The types of the resources that a preview would change."""
        shown = self.engine("preview", "--json", "--stack", self.stack)
        assert shown.code == 0, shown.text
        steps = json.loads(shown.text[shown.text.index("{") :])["steps"]
        return {step["urn"].split("::")[2].rpartition("$")[2] for step in steps if step["op"] not in ("same", "read")}


@contextmanager
def watched(root: Path, secret: str) -> Iterator[list[str]]:
    """The command lines that show a secret at any moment of the block, and the files that others may read."""
    found: list[str] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = process.read_bytes()
                except OSError:
                    continue
                if secret.encode() in line:
                    found.append(line.decode(errors="replace"))
            with suppress(OSError):  # gone meanwhile
                found.extend(name for name in holding(root / "tmp", secret) if Path(name).stat().st_mode & 0o077)

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield found
    finally:
        over.set()
        watching.join()


def holding(folder: Path, secret: str) -> list[str]:
    """The files of a folder that hold a secret."""
    found = []
    for file in folder.rglob("*"):
        try:
            if file.is_file() and file.stat().st_size < 10_000_000 and secret.encode() in file.read_bytes():
                found.append(str(file))
        except OSError:  # gone meanwhile
            continue
    return found


@pytest.mark.parametrize("cli", [True, False], ids=["cli", "embedded"])
def test_a_cluster_of_the_same_program_is_deployed_to_though_unknown_before(built, node, namespace, tmp_path, cli):
    if cli and shutil.which("pulumi") is None:
        pytest.skip("Pulumi's CLI is not on PATH")
    service = FromStack(tmp_path / "project", namespace, built, cli=cli)
    Path(service.environment["INFRA_KUBECONFIG"]).write_text(yaml.safe_dump(service.kubeconfig))
    service.write_settings(nodePool=None)
    service.write_settings(nodePool={**POOL, "namespace": namespace, **front_door(built.envoy)})
    program = service.root / "__main__.py"
    text = program.read_text().replace("    target.check(settings)\n", "")
    program.write_text(text.replace("    deployment = target.of(settings, bundles)\n", IN_ONE_PROGRAM))
    verb = ("--stack", service.stack)
    try:
        preview = service.engine("preview", *verb)
        assert preview.code == 0, preview.text
        assert "kubernetes:apps/v1:Deployment mine-deployment" in preview.text
        assert f"checks of {service.service} through a port-forward passed" in service.up()
        unchanged = service.engine("preview", "--expect-no-changes", *verb)
        assert unchanged.code == 0, unchanged.text
    finally:
        service.destroy()
    assert service.token not in "".join(service.shown)
    # Pulumi's plugin leaves copies that a program's own provider may need for Helm releases: their owner's alone.
    for file in map(Path, holding(service.root, service.token)):
        assert (file.parent.name, file.name[:10]) == ("tmp", "kubeconfig")
        assert file.stat().st_mode & 0o077 == 0


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("cli", [True, False], ids=["cli", "embedded"])
def test_a_service_lives_in_the_cluster_of_another_stack(built, node, namespace, tmp_path, cli):
    if cli and shutil.which("pulumi") is None:
        pytest.skip("Pulumi's CLI is not on PATH")
    service = FromStack(tmp_path / "project", namespace, built, cli=cli)
    verb = ("--stack", service.stack)
    service.up_infra()
    with watched(service.root, service.token) as leaks:
        try:
            assert service.engine("preview", *verb).code == 0
            assert f"checks of {service.service} through a port-forward passed" in service.up()
            outputs = service.outputs()
            assert outputs["state"] == "Healthy"
            unchanged = service.engine("preview", "--expect-no-changes", *verb)
            assert unchanged.code == 0, unchanged.text
            service.up()

            status, logs = service.asked("status"), service.asked("logs")
            assert (status.code, logs.code) == (0, 0), status.text + logs.text
            assert f"{service.service}: Healthy" in status.text
            assert "Application startup complete" in logs.text or "HTTPService" in logs.text

            service.up_infra(token=WRONG)
            for refused in (service.engine("preview", *verb), service.engine("up", "--yes", *verb)):
                assert refused.code != 0
                for words in ("the output 'kubeconfig' of the stack organization/infra/prod", "Unauthorized"):
                    assert words in refused.text, refused.text
                assert "Traceback" not in refused.text.partition("refuses the credential")[0]
            assert "Unauthorized" in service.asked("status").text

            service.up_infra(more="# renewed\n")
            assert service.changes() == set()
            service.up()
            assert all(text.endswith("# renewed\n") for text in service.kept_kubeconfigs())

            for changed, told in (
                ({"kubeconfigOutput": "nope"}, f"the output 'nope' of the stack {CLUSTER} (nodePool.clusterStack) is"),
                ({"clusterStack": "organization/infra/nope"}, "organization/infra/nope"),
            ):
                service.write_settings(nodePool=changed)
                refused = service.engine("preview", *verb)
                assert refused.code != 0
                assert told in refused.text, refused.text
                assert "nodePool.clusterStack" in refused.text
                assert "Traceback" not in refused.text, refused.text
                service.settings["nodePool"].pop("kubeconfigOutput", None)
                service.write_settings(nodePool={"clusterStack": CLUSTER})
        finally:
            service.destroy()
    assert leaks == []
    assert list((service.root / "tmp").glob("kubeconfig*")) == []
    assert [name for name in Kube().names(namespace, KINDS) if f"/{service.service}" in name] == []
    text = "".join(service.shown)
    for secret in (service.token, WRONG):
        assert secret not in text
        assert holding(service.root, secret) == []
