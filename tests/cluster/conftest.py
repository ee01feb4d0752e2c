"""A real cluster (KUBECONFIG), and images for it (a Docker engine by DOCKER_HOST, a registry at localhost:5000)."""

import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.images import PROJECT, Images
from tests.cluster.kube import Kube, await_fit_node
from tests.cluster.service import Service

DIGITS = PROJECT / "model_repository" / "triton" / "digits"
NEEDED = {"KUBECONFIG": "a Kubernetes cluster", "DOCKER_HOST": "a Docker engine to build images with"}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cluster: needs a Kubernetes cluster by KUBECONFIG")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    missing = [f"{variable} names no {what[2:]}" for variable, what in NEEDED.items() if not os.environ.get(variable)]
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(1200))  # the first one builds the images, and waits for the node
            if missing:
                item.add_marker(pytest.mark.skip(reason="; ".join(missing)))


@dataclass(frozen=True)
class Built:
    """Images by digest, and the registered version of the bundle in each of the services'."""

    envoy: str
    good: tuple[str, int]
    newer: tuple[str, int]
    broken_model: tuple[str, int]
    broken_script: tuple[str, int]
    failing: tuple[str, int]
    slow: tuple[str, int]
    colder: tuple[str, int]
    perturbed: tuple[str, int]
    densenet: tuple[str, int]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A service with the digits model, one with its version 2 added, two that cannot start, and `densenet_onnx`."""
    folder = tmp_path_factory.mktemp("images")
    images = Images(folder)
    one, two, scripts = folder / "one", folder / "two", folder / "scripts"
    shutil.copytree(DIGITS, one / "triton" / "digits")
    shutil.copytree(DIGITS, two / "triton" / "digits")
    shutil.copytree(DIGITS / "1", two / "triton" / "digits" / "2")
    shutil.copytree(PROJECT / "examples" / "scripts", scripts)
    (scripts / "score_broken.py").write_text(
        "def init():\n    raise RuntimeError('no weights')\n\ndef run(data): ...\n"
    )
    script = scripts / "score_digits.py"
    planted = {
        "failing": "    if next(_turns) % 20 == 0:\n        raise RuntimeError('planted')\n",
        "slow": "    time.sleep(0.03)\n",
        "colder": "    if next(_turns) <= 3:\n        time.sleep(0.2)\n",
    }
    for name, lines in planted.items():
        text = script.read_text().replace(
            "import json\n", "import itertools\nimport json\nimport time\n\n_turns = itertools.count(1)\n", 1
        )
        head, run, rest = text.partition("def run(")
        signature, end, body = rest.partition(":\n")
        (scripts / f"score_{name}.py").write_text(head + run + signature + end + lines + body)
        shutil.copy(script.with_suffix(".golden.json"), scripts / f"score_{name}.golden.json")
    # Near enough for the golden answer, and not for a replay.
    (scripts / "score_perturbed.py").write_text(script.read_text().replace("[0, 0])}", "[0, 0]) + 0.0001}"))
    shutil.copy(script.with_suffix(".golden.json"), scripts / "score_perturbed.golden.json")
    garbage = {"triton/digits/1/model.onnx": b"no graph"}
    made = [
        images.service("good", one, script),
        images.service("newer", two, script),
        images.service("broken-model", one, script, replace=garbage),
        images.service("broken-script", one, scripts / "score_broken.py"),
        images.service("failing", one, scripts / "score_failing.py"),
        images.service("slow", one, scripts / "score_slow.py"),
        images.service("colder", one, scripts / "score_colder.py"),
        images.service("perturbed", one, scripts / "score_perturbed.py"),
        images.service("densenet", PROJECT / "examples" / "densenet", scripts / "score_densenet.py"),
    ]
    return Built(images.envoy(), *((image, images.version_of(image)) for image in made))


@pytest.fixture(scope="session")
def namespace() -> Iterator[str]:
    name = f"triton-tests-{secrets.token_hex(3)}"
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    kube = Kube()
    kube.apply([made])
    yield name
    kube.delete([made])


@pytest.fixture(scope="session")
def node(built: Built) -> None:
    """A node that takes pods: after images were built on it, it may need minutes to find itself fit again."""
    await_fit_node(Kube())


@pytest.fixture(scope="session")
def service(built: Built, node: None, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Triton with an entry script, deployed and healthy; a test leaves it as it found it."""
    running = Service(namespace, "digits", built.envoy, tmp_path_factory.mktemp("service"), scorer=True)
    running.deploy(*built.good)
    yield running
    running.remove()
