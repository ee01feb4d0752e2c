"""Images from the rendered Dockerfiles: what is in them, what is not, and that they can be made again."""

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from environment.build_context import BuildContext, ServedFiles, environment_context, service_context
from environment.curated_clone import Environment
from environment.image_layout import PROBE_TRITON
from environment.package_lock import resolve
from tests.cluster.images import PROJECT
from tests.docker.conftest import Base

INDEX = "https://somebody:s3cret@127.0.0.1:9/simple"


@pytest.fixture(scope="module")
def sdk() -> docker.DockerClient:
    return docker.from_env(timeout=300)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory, base: Base) -> BuildContext:
    """The context of an environment with one pip package of its own."""
    serving = tmp_path_factory.mktemp("copy") / "serving"
    shutil.copytree(PROJECT / "serving", serving)
    curated = Environment.get("AzureML-Triton")
    mine = curated.clone("My-Triton").add_pip_package("nltk")
    curated_lock, packages = (
        resolve(
            wanted.requirements,
            name=wanted.name,
            python=None,
            project=serving,
            store=tmp_path_factory.getbasetemp() / "locks",
        )
        for wanted in (curated, mine)
    )
    return environment_context(mine, base_image=base.triton, curated=curated_lock, packages=packages, serving=serving)


@pytest.fixture(scope="module")
def image(context: BuildContext, sdk: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The environment's image."""
    folder = tmp_path_factory.mktemp("environment") / "context"
    context.write(folder)
    made, _ = sdk.images.build(path=str(folder), tag="tests-environment:1", rm=True, nocache=True)
    yield made
    sdk.images.remove("tests-environment:1")


def run(sdk: docker.DockerClient, image: Any, command: str) -> str:
    printed = sdk.containers.run(image.id, ["sh", "-c", command], remove=True, network_mode="none", read_only=True)
    return str(printed.decode().strip())


def test_scripts_find_their_packages_and_the_server(sdk: docker.DockerClient, image: Any) -> None:
    assert (
        run(sdk, image, "python -c 'import nltk, tritonhttpclient, serving.probing.probe; print(nltk.__name__)'")
        == "nltk"
    )
    assert run(sdk, image, "command -v tritonserver") == "/opt/tritonserver/bin/tritonserver"


def test_it_runs_as_a_user_who_is_not_root(sdk: docker.DockerClient, image: Any) -> None:
    assert run(sdk, image, "id -u") == "1000"
    assert image.attrs["Config"]["User"] == "1000:1000"


def test_the_environment_has_no_installer(sdk: docker.DockerClient, image: Any) -> None:
    assert "pip" not in run(sdk, image, "ls /opt/environment/bin /opt/environment/lib/python3*/site-packages").split()


def test_labels_say_what_it_is(image: Any, context: BuildContext, base: Base) -> None:
    assert image.labels["org.opencontainers.image.title"] == "My-Triton"
    assert image.labels["org.opencontainers.image.base.name"] == base.triton
    assert image.labels["triton-serving.environment-digest"] == context.digest


def test_the_index_and_its_credentials_stay_out_of_the_image(
    sdk: docker.DockerClient, context: BuildContext, tmp_path: Path
) -> None:
    # Without packages to fetch, so that an index that answers nobody does for the build.
    files = {**context.files, "curated.txt": "", "packages.txt": ""}
    BuildContext(context.dockerfile, files, context.digest).write(tmp_path / "context")
    made, _ = sdk.images.build(
        path=str(tmp_path / "context"), rm=True, forcerm=True, buildargs={"PIP_INDEX_URL": INDEX}
    )
    try:
        assert "s3cret" not in json.dumps([made.attrs, made.history()])
        assert "s3cret" not in run(sdk, made, "env; grep -rs s3cret /opt /etc /tmp || true")
    finally:
        sdk.images.remove(made.id)


def test_the_same_inputs_make_the_same_layers(
    sdk: docker.DockerClient, context: BuildContext, image: Any, tmp_path: Path
) -> None:
    context.write(tmp_path / "again")
    again, _ = sdk.images.build(path=str(tmp_path / "again"), rm=True, nocache=True)
    try:
        assert again.id != image.id  # built, not found
        assert contents(again) == contents(image)
    finally:
        sdk.images.remove(again.id, force=True)


# Names that a Dockerfile must not read as anything but a name.
ODD_NAME = 'it\'s "$HOME" ${PATH} \\ é #.py'


def service_of(script: str, folder: Path) -> BuildContext:
    """The context of a service: the digits model behind an entry script."""
    shutil.copytree(PROJECT / "model_repository" / "triton" / "digits", folder / "bundle" / "triton" / "digits")
    (folder / "source").mkdir()
    (folder / "source" / "score.py").write_text(script)
    (folder / "source" / "tool").write_text("#!/bin/sh\necho from the tool\n")
    (folder / "source" / "tool").chmod(0o755)
    files = [str(file.relative_to(folder / "bundle")) for file in (folder / "bundle").rglob("*") if file.is_file()]
    bundle = ServedFiles(name="m", version=1, digest="d", folder=folder / "bundle", files=files, framework="Multi")
    return service_context(
        [bundle],
        environment_image="tests-environment:1",
        probes={PROBE_TRITON: "{}"},
        entry_script=ODD_NAME,
        source_directory=folder / "source",
    )


def test_a_changed_script_changes_its_own_layer_alone(sdk: docker.DockerClient, image: Any, tmp_path: Path) -> None:
    built = []
    for number, script in enumerate(("def run(data): return 1", "def run(data): return 2", "def run(data): return 1")):
        service_of(script, tmp_path / str(number)).write(tmp_path / str(number) / "context")
        made, _ = sdk.images.build(path=str(tmp_path / str(number) / "context"), rm=True, nocache=number == 2)
        built.append(made)
    first, changed, again = built
    try:
        layers, others = (made.attrs["RootFS"]["Layers"] for made in (first, changed))
        assert layers[:-1] == others[:-1]
        assert layers[-1] != others[-1]
        assert again.id != first.id  # built, not found
        assert contents(again) == contents(first)
        assert run(sdk, first, "./tool") == "from the tool"
        assert f"AZUREML_ENTRY_SCRIPT={ODD_NAME}" in first.attrs["Config"]["Env"]
        assert "SERVICE_VERSION=m:1" in first.attrs["Config"]["Env"]
        assert first.labels["triton-serving.models"] == "m:1@d"
        assert first.labels["triton-serving.model-framework"] == "Multi"
    finally:
        for made in {made.id for made in built}:
            sdk.images.remove(made, force=True)


def contents(image: Any) -> list[dict[str, str]]:
    """What is in each layer that the Dockerfile adds: paths, and digests of modes, owners, links and contents."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(image.save()))) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        layers = manifest[0]["Layers"][-3:]
        return [files_of(archive.extractfile(layer).read()) for layer in layers]  # type: ignore[union-attr]


def files_of(layer: bytes) -> dict[str, str]:
    files = {}
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        for member in archive:
            content = archive.extractfile(member).read() if member.isreg() else b""  # type: ignore[union-attr]
            facts = f"{member.type!r} {member.mode} {member.uid} {member.linkname}".encode()
            files[member.name] = hashlib.sha256(facts + content).hexdigest()
    return files


def test_a_context_holds_what_it_names_and_no_more(context: BuildContext, tmp_path: Path) -> None:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "left-over").write_text("of an earlier build")
    context.write(folder)
    assert {path.name for path in folder.iterdir()} == {
        ".dockerignore", "Dockerfile", "curated.txt", "packages.txt", "serving",
    }  # fmt: skip
    assert (folder / ".dockerignore").read_text().splitlines() == ["*", "!curated.txt", "!packages.txt", "!serving"]
