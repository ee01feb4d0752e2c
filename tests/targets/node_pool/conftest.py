"""Rendered objects of a node pool, from the settings that a test names."""

import copy
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import fsspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fsspec.implementations.memory import MemoryFileSystem

from gateway.envoy_files import render_keys
from gateway.keys import Keys
from gateway.listener import KEYS_FILE
from settings.load import load
from settings.stack_reader import file_of
from targets.node_pool.objects.every_object import objects
from targets.node_pool.objects.image_pull import docker_configuration
from targets.node_pool.rendering import Contents, Manifest, Options

KEYS = Keys("primary-key-of-a-test", "secondary-key-of-a-test")
IMAGE = "registry.example/triton-webservice@sha256:" + "0" * 64

SHAPES = {
    "triton": {},
    "triton and scorer": {"entryScript": "score.py"},
    "scorer": {"entryScript": "score.py", "models": [{"path": "models", "name": "m", "framework": "Custom"}]},
}
PRESETS = ("aks-gpu", "eks-gpu", "gke-gpu", "karpenter")
OWN = {"nodeSelector": {"gpu": "a100"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]}


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Two trees as one, groups joined."""
    tree = copy.deepcopy(first)
    for key, value in second.items():
        tree[key] = merged(tree[key], value) if isinstance(value, dict) and isinstance(tree.get(key), dict) else value
    return tree


DIGITS = Path(__file__).resolve().parents[3] / "model_repository" / "triton" / "digits"


@pytest.fixture(autouse=True, scope="session")
def clouds_stores() -> None:
    """The clouds' object stores, whose packages a user adds to the requirements; here each is kept in memory."""
    for protocol in ("s3", "gs", "abfs"):
        fsspec.register_implementation(protocol, MemoryFileSystem, clobber=True)


@pytest.fixture(scope="session")
def certificate() -> dict[str, str]:
    """A certificate of models.example and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "models.example")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("models.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {"certificate.pem": made.public_bytes(pem).decode(), "key.pem": private.decode()}


@pytest.fixture
def options(tmp_path: Path, certificate: dict[str, str]) -> Callable[..., Options]:
    """Make the options of a rendering: `options(preset="aks-gpu", shape="triton", pool={...}, **settings)`."""
    shutil.copytree(DIGITS, tmp_path / "models" / "triton" / "digits")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "score.py").write_text("def init(): ...\ndef run(data): ...\n")
    for name, text in certificate.items():
        (tmp_path / name).write_text(text)

    def make(preset: str = "aks-gpu", shape: str = "triton", pool: Any = None, **changed: Any) -> Options:
        deployment = {"target": "node-pool", "computeTargetName": preset, "gpuCores": 1}
        tree = {
            "models": [{"path": "models", "name": "m"}],
            "image": {"repository": "registry.example/triton-webservice"},
            "deployment": deployment,
            "nodePool": pool or {},
        }
        tree = merged(merged(tree, SHAPES[shape]), changed)
        if "exposure" in tree["nodePool"]:
            tree["deployment"].setdefault("maxRequestsPerSecond", 100)
        settings = load(
            tree, subject=file_of("test"), project=tmp_path, secret=["imagePassword"] if "imagePassword" in tree else []
        )
        password = settings.image_password
        return Options(
            settings=settings,
            triton=shape != "scorer",
            scorer=shape != "triton",
            owner="organization/triton-serving/test",
            contents=Contents(
                image=IMAGE,
                repositories=("/opt/service/models/m/1/triton",) if shape != "scorer" else (),
                image_pull=docker_configuration(settings, password and password.get_secret_value()),
                gateway_version="1",
                primary_key=KEYS.primary,
                secondary_key=KEYS.secondary,
                gateway_keys=render_keys(KEYS)[KEYS_FILE],
                certificate="PEM",
                certificate_key="PEM",
            ),
        )

    return make


class Rendered:
    """Rendered objects, found by kind and by the end of their name."""

    def __init__(self, manifests: list[Manifest]) -> None:
        self.manifests = manifests

    def all(self, kind: str) -> list[Manifest]:
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    def one(self, kind: str, suffix: str = "") -> Manifest:
        (found,) = [m for m in self.all(kind) if m["metadata"]["name"] == f"triton-webservice{suffix}"]
        return found

    @property
    def replica(self) -> dict[str, Any]:
        """The spec of the replicas' pods."""
        return self.one("Deployment")["spec"]["template"]["spec"]

    @property
    def envoy(self) -> dict[str, Any]:
        """The spec of the front door's pods."""
        return self.one("Deployment", "-front-door")["spec"]["template"]["spec"]

    def container(self, name: str) -> dict[str, Any]:
        """A container of the replicas' pods."""
        pod = self.replica
        (found,) = [c for c in [*pod.get("initContainers", []), *pod["containers"]] if c["name"] == name]
        return found


@pytest.fixture
def rendered(options: Callable[..., Options]) -> Callable[..., Rendered]:
    """Render with `options`' arguments."""
    return lambda *args, **kwargs: Rendered(objects(options(*args, **kwargs)))
