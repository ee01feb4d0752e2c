"""A kubeconfig that comes as a text: it leads to its cluster, leaves nothing on this machine, and is never shown."""

import base64
import contextlib
import gc
import json
import ssl
import tempfile
from pathlib import Path

import pytest
import yaml

from provider.resource_type import resource_type
from targets.errors import ServiceError
from targets.node_pool.cluster import plugin_copies
from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.cluster.errors import ClusterError, CredentialError
from targets.node_pool.cluster.identity import expected_cluster, identity
from targets.node_pool.cluster.kubeconfig import Kubeconfig
from tests.certificates import make_certificate
from tests.cluster_api import UID, cluster_api, kubeconfig
from tests.provider.asking import changes, create

SOURCE = "the output 'kubeconfig' of the stack organization/infra/prod (nodePool.clusterStack)"
SECRET = "s3cret-" + "t" * 40


@pytest.fixture(autouse=True)
def _no_kubeconfig_here(monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))


def given(content):
    return Kubeconfig(content if isinstance(content, str) else json.dumps(content), SOURCE)


def in_memory():
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.append(str(descriptor.readlink()))
    return [name for name in found if "memfd:kubeconfig" in name]


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
def test_it_leads_to_its_cluster(write):
    with cluster_api(token=SECRET) as url:
        cluster = Cluster("", given(write(kubeconfig(url, token=SECRET))))
        assert identity(cluster).as_json() == {"context": "other", "server": url, "uid": UID}


def test_certificates_stay_in_memory_and_are_gone_with_the_client(tmp_path, monkeypatch):
    files = tmp_path / "files"
    files.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(files))
    certificate, key = make_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(certificate)
    encoded = {
        name: base64.b64encode(Path(file).read_bytes()).decode() for name, file in (("c", certificate), ("k", key))
    }
    user = {"client-certificate-data": encoded["c"], "client-key-data": encoded["k"]}
    server = {"certificate-authority-data": encoded["c"], "tls-server-name": "localhost"}
    with cluster_api(tls=tls) as url:
        cluster = Cluster("", given(kubeconfig(url, cluster=server, **user)))
        assert identity(cluster).uid == UID
        assert len(in_memory()) == 3
        assert list(files.iterdir()) == []
        del cluster
        gc.collect()
    assert in_memory() == []


def test_every_client_has_its_own_credential():
    with cluster_api(token="one") as first, cluster_api(token="two") as second:
        for _ in range(2):
            made = [
                Cluster("", given(kubeconfig(url, token=token))) for url, token in ((first, "one"), (second, "two"))
            ]
            assert [cluster.server for cluster in made] == [first, second]
        with pytest.raises(CredentialError):
            Cluster("", given(kubeconfig(first, token="two")))
        with pytest.raises(ClusterError, match="KUBECONFIG"):  # nobody's but this machine's, which has none
            Cluster()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty or not there"),
        (f"password {SECRET}", "is not a kubeconfig"),
        (f"a: [{SECRET}", "is not a kubeconfig"),
        (base64.b64encode(b"apiVersion: v1").decode(), "decoded where a cloud gives it in Base64"),
        (json.dumps([SECRET]), "is not a kubeconfig"),
        (json.dumps({"clusters": [], "contexts": [], "users": []}), "names no current context"),
        (json.dumps({**kubeconfig("u"), "current-context": SECRET}), "no context of its current-context's name"),
        (json.dumps({**kubeconfig("u"), "users": [SECRET]}), "lacks the cluster or the user"),
        (json.dumps(kubeconfig("u", **{"client-key": f"/{SECRET}"})), r"names files .*\(client-key\).* --flatten"),
        (json.dumps(kubeconfig("u", **{"client-key-data": "é" + SECRET})), "client-key-data that is not in Base64"),
        (json.dumps(kubeconfig("https://127.0.0.1:1", **{"client-key-data": SECRET})), "."),
    ],
)
def test_what_is_no_kubeconfig_is_told_without_its_content(text, told):
    with pytest.raises(ClusterError, match=told) as failure:
        Cluster("", given(text))
    assert SOURCE in str(failure.value)
    assert SECRET not in str(failure.value)
    assert failure.value.__cause__ is None
    assert in_memory() == []


def test_a_context_that_it_lacks_is_told():
    with pytest.raises(CredentialError, match=r"no context 'mine'; expected nodePool\.context to name"):
        Cluster("mine", given(kubeconfig("https://one")))


def test_another_cluster_than_the_stacks_is_refused():
    known = {"context": "prod", "server": "https://one", "uid": "u-1"}
    with cluster_api() as url, pytest.raises(ClusterError, match=r"nodePool\.clusterStack"):
        expected_cluster("", known, given(kubeconfig(url)))


def inputs(content, **changed):
    return {"context": "", "name": "", "kubeconfig": json.dumps(content), "source": SOURCE, **changed}


def check(**values):
    kind = resource_type("NodePoolCluster")
    kind.check(kind.inputs.model_validate(values))


def test_a_refused_credential_is_told_when_it_is_planned():
    with cluster_api(token="other") as url:
        with pytest.raises(CredentialError) as failure:
            check(**inputs(kubeconfig(url, token=SECRET)))
        for words in (SOURCE, "Unauthorized", "renew it there, then run up"):
            assert words in str(failure.value)
        assert SECRET not in str(failure.value)
        check(**inputs(kubeconfig(url, token="other")))


def test_a_login_that_fails_is_told_when_it_is_planned():
    login = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", "echo expired >&2; exit 1"],
    }
    with pytest.raises(CredentialError, match=r"login of the output .* failed: .*expired; log in again"):
        check(**inputs(kubeconfig("https://127.0.0.1:1", exec=login)))


def test_a_cluster_that_does_not_answer_is_for_the_update_to_tell():
    silent = inputs(kubeconfig("http://127.0.0.1:1"))
    check(**silent)
    with pytest.raises(ClusterError, match="does not answer"):
        create("NodePoolCluster", silent)


def test_a_name_that_is_taken_is_told_when_it_is_planned():
    metadata = {"name": "svc", "namespace": "serving", "annotations": {"triton-serving/stack": "organization/p/other"}}
    taken = {"kind": "DeploymentList", "apiVersion": "apps/v1", "items": [{"kind": "Deployment", "metadata": metadata}]}
    claim = {"namespace": "serving", "service": "svc", "owner": "organization/p/mine"}
    with cluster_api(objects={"/apis/apps/v1/namespaces/serving/deployments": taken}) as url:
        with pytest.raises(
            ServiceError, match="taken in the namespace serving of the cluster by the stack organization/p"
        ):
            check(**inputs(kubeconfig(url), claim=claim))
        check(**inputs(kubeconfig(url), claim={**claim, "owner": "organization/p/other"}))
        check(**inputs(kubeconfig(url)))


def test_a_renewed_credential_changes_nothing_and_the_old_one_is_not_asked():
    with cluster_api(token="new") as url:
        known = {"identity": {"context": "other", "server": url, "uid": UID}}
        old, new = (inputs(kubeconfig(url, token=token)) for token in ("old", "new"))
        assert changes("NodePoolCluster", old, known, new) == {}
        with pytest.raises(CredentialError):
            changes("NodePoolCluster", old, known)


def test_another_cluster_in_the_other_stack_is_refused_when_it_is_planned():
    known = {"identity": {"context": "other", "server": "https://one", "uid": "u-1"}}
    with cluster_api() as url, pytest.raises(ClusterError, match="another cluster than the one"):
        changes("NodePoolCluster", inputs(kubeconfig("https://one")), known, inputs(kubeconfig(url)))


def test_the_copies_that_the_kubernetes_plugin_leaves_are_removed_and_nobody_elses(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    text = given(kubeconfig("https://one", token=SECRET)).for_objects("")
    files = {
        "kubeconfig1234": text,
        "kubeconfig5678": json.dumps(kubeconfig("https://one", token=SECRET)),  # of a Helm release, say
        "kubeconfig.mine": text,
        "kubeconfig9": "a: [",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    plugin_copies.remove()
    assert {file.name for file in tmp_path.iterdir()} == set(files) - {"kubeconfig1234"}


def test_a_wrong_kubeconfig_is_nothing_for_the_plugin():
    assert given("a: [").for_objects("") == ""
