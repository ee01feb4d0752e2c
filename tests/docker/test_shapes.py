"""The other shapes of service, an image that exists, and a rollout with room for one generation."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.cluster.images import REGISTRY, Images
from tests.docker.conftest import Base
from tests.docker.project import DockerProject
from tests.e2e.project import SOURCE

DIGITS = SOURCE / "model_repository" / "triton" / "digits"


@pytest.fixture
def new_project(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Iterator[Callable[[str], DockerProject]]:
    """Make a project on a base image, whose service is destroyed at the end of the test."""
    made: list[DockerProject] = []

    def make(base_image: str = "") -> DockerProject:
        made.append(
            DockerProject(
                tmp_path_factory.mktemp("s") / "project",
                base_image=base_image or base.triton,
                front_door_image=base.envoy,
            )
        )
        return made[-1]

    yield make
    for project in made:
        project.destroy()


def infer(project: DockerProject) -> httpx.Response:
    with project.client() as client:
        return client.post("/v2/models/digits/infer", json=json.loads((DIGITS / "golden.json").read_text())["request"])


def test_an_image_that_exists_is_run_by_its_digest(
    new_project: Callable[..., DockerProject], images: Images, tmp_path: Path
) -> None:
    shutil.copytree(DIGITS, tmp_path / "models" / "triton" / "digits")
    built = Images(tmp_path / "built")
    project = new_project()
    project.add_model("digits")
    reference = built.service("existing", tmp_path / "models")
    project.write_settings(image=None)
    project.write_settings(image={"reference": reference})
    project.up()
    assert project.container("triton").attrs["Config"]["Image"] == reference
    assert {name.rpartition("-")[2] for name in project.containers()} == {"network", "triton", "door"}
    assert project.outputs()["scoringUri"] == f"http://localhost:{project.port}"
    assert infer(project).status_code == 200


def test_scoring_only_needs_no_triton(new_project: Callable[..., DockerProject]) -> None:
    project = new_project(f"{REGISTRY}/debian:12")
    (project.root / "models").mkdir()
    (project.root / "models" / "weights.json").write_text('{"offset": 41}')
    project.write_script(
        "import json, os\n\ndef init():\n    global offset\n"
        "    file = os.path.join(os.environ['AZUREML_MODEL_DIR'], 'models', 'weights.json')\n"
        "    offset = json.load(open(file))['offset']\n\n"
        "def run(data):\n    return json.loads(data)['x'] + offset\n",
        golden={"request": {"x": 1}, "response": 42},
    )
    project.write_settings(entryScript="score.py", models=[{"path": "models", "name": "m", "framework": "Custom"}])
    project.up()
    assert {name.rpartition("-")[2] for name in project.containers()} == {"network", "scorer", "door"}
    with project.client() as client:
        assert client.post("/score", json={"x": 2}).json() == 43
        assert client.get("/v2/health/ready").status_code == 404


def test_an_image_file_gets_its_class_through_the_interface_of_densenet(
    new_project: Callable[..., DockerProject],
) -> None:
    project = new_project()
    stack = yaml.safe_load((SOURCE / "stacks" / "Pulumi.densenet.yaml").read_text())["config"]
    shared = ("models", "environment", "entryScript", "sourceDirectory")
    project.write_settings(**{name: stack[f"triton-serving:{name}"] for name in shared})
    project.up()
    photograph = (SOURCE / "examples" / "scripts" / "photographs" / "espresso.jpg").read_bytes()
    with project.client() as client:
        answer = client.post("/score", content=photograph, headers={"Content-Type": "application/octet-stream"})
        made = client.get("/v2/models/densenet_onnx").json()["outputs"]
    assert (answer.status_code, answer.text) == (200, "967 : ESPRESSO")
    assert made == [{"name": "fc6_1", "datatype": "FP32", "shape": [1000]}]


def test_recreating_stops_the_old_generation_first_and_starts_it_again_on_failure(
    new_project: Callable[..., DockerProject],
) -> None:
    project = new_project()
    folder = project.add_model("digits")
    project.write_settings(deployment={"rollout": {"strategy": "recreate", "deadlineSeconds": 90, "drainSeconds": 5}})
    project.up()
    before = project.containers()
    golden = json.loads((folder / "golden.json").read_text())
    golden["response"]["outputs"][0]["data"][0] += 1
    (folder / "golden.json").write_text(json.dumps(golden))
    said = project.up(fails=True)
    assert "stopping generation 1 first" in said
    assert "golden inference" in said
    assert project.containers() == before
    assert infer(project).status_code == 200
