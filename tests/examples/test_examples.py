"""The examples on a real service: the client of `call_service.py`, and each entry script with its golden request."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.e2e.project import SOURCE, Project, project

NLTK = {"name": "Examples", "clone": "AzureML-Triton", "pipPackages": ["nltk"]}
LOCAL = {"name": "Local", "clone": "AzureML-Triton", "pipPackages": ["onnxruntime"]}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The models of this project behind `score_bidaf.py`."""
    with project(tmp_path_factory.mktemp("examples") / "project") as made:
        made.write_settings(
            models=[{"path": "model_repository", "name": "triton_model"}],
            environment=NLTK,
            sourceDirectory="examples/scripts",
            entryScript="score_bidaf.py",
        )
        made.up()
        yield made


def golden(project: Project, script: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project.root / "examples" / "scripts" / f"{script}.golden.json").read_text())
    return found


def call_service(project: Project, stack: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "examples/call_service.py", "--stack", stack],
        cwd=project.root,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_client_finds_the_accuracies_that_the_documents_state(service: Project) -> None:
    done = call_service(service, service.stack)
    assert done.returncode == 0, done.stderr
    assert "ready: True" in done.stdout
    stated = (service.root / "model_repository" / "README.md").read_text()
    for score in ("accuracy 0.9889 on 450", "accuracy 1.0000 on 45"):
        assert score in done.stdout
        assert score in stated
    assert done.stdout.splitlines()[-1].endswith("What color is the fox? brown")


def test_the_client_says_what_to_do_where_a_stack_is_not_there(service: Project) -> None:
    done = call_service(service, "nowhere")
    assert done.returncode == 1
    assert "deploy it: make up STACK=nowhere" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "request_body",
    [{"query": "Who was it?"}, {"query": "", "context": "A text."}, {"query": 1, "context": "A text."}, []],
)
def test_a_question_without_its_texts_is_the_clients_error(service: Project, request_body: object) -> None:
    with service.client() as client:
        answer = client.post("/score", json=request_body)
    assert answer.status_code == 400
    assert "What color is the fox" in answer.text


def test_a_long_text_is_answered_from_the_sentence_that_has_the_answer(service: Project) -> None:
    passages = (service.root / "examples" / "training" / "data" / "questions.txt").read_text().split("\n\n")[1:]
    text = " ".join(passage.strip().splitlines()[0] for passage in passages)  # 2,000 words
    with service.client() as client:
        answer = client.post("/score", json={"query": "Who patented the telephone?", "context": text})
    assert answer.json() == ["Alexander", "Graham", "Bell"]


def test_the_digits_script_answers_through_triton(service: Project) -> None:
    service.write_settings(entryScript="score_digits.py")
    service.up()
    expected = golden(service, "score_digits")
    with service.client() as client:
        answer = client.post("/score", json=expected["request"])
        assert (answer.status_code, answer.json()) == (200, expected["response"])
        assert client.post("/score", json={"image": [[1, 2], [3, 4]]}).status_code == 400


def test_photographs_are_told_apart_through_the_interface_of_densenet(service: Project) -> None:
    """The model of Azure's document, with its interface, labels and client."""
    stack = yaml.safe_load((SOURCE / "stacks" / "Pulumi.densenet.yaml").read_text())["config"]
    service.write_settings(
        models=stack["triton-serving:models"],
        environment=stack["triton-serving:environment"],
        entryScript=stack["triton-serving:entryScript"],
    )
    service.up()
    done = call_service(service, service.stack)
    assert done.returncode == 0, done.stderr
    assert "densenet_onnx: 6 of 6 photographs right" in done.stdout
    photograph = (service.root / "examples" / "scripts" / "photographs" / "espresso.jpg").read_bytes()
    with service.client() as client:
        metadata = client.get("/v2/models/densenet_onnx").json()
        (given,), (made,) = metadata["inputs"], metadata["outputs"]
        assert (given["name"], given["datatype"], given["shape"]) == ("data_0", "FP32", [3, 224, 224])
        assert (made["name"], made["datatype"], made["shape"]) == ("fc6_1", "FP32", [1000])
        # Curl's own type of a body, no image, half an image, another method.
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert client.post("/score", content=photograph, headers=form).text == "967 : ESPRESSO"
        assert client.post("/score", content=b"no image").status_code == 400
        assert client.post("/score", content=photograph[: len(photograph) // 2]).status_code == 400
        assert client.get("/score").status_code == 405


def test_the_local_script_answers_without_triton(service: Project) -> None:
    service.write_settings(
        models=[{"path": "model_repository/triton/digits", "name": "digits", "framework": "Custom"}],
        environment=LOCAL,
        entryScript="score_digits_local.py",
    )
    service.up()
    done = call_service(service, service.stack)
    assert done.returncode == 1
    assert "has no Triton to call" in done.stderr
    assert service.outputs().get("tritonUri") is None
    assert {name.partition("-")[0] for name in service.pids} == {"scorer", "envoy", "supervisord"}
    expected = golden(service, "score_digits_local")
    with service.client() as client:
        answer = client.post("/score", json=expected["request"])
        assert client.get("/v2/health/ready").status_code == 404
    assert (answer.status_code, answer.json()) == (200, expected["response"])
