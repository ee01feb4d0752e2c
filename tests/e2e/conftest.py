import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.project import Project, project


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The digits model behind a script that asks Triton, deployed once for a module's tests."""
    with project(tmp_path_factory.mktemp("e2e") / "project") as made:
        made.add_model("digits")
        made.write_script(SCORE, golden={"request": {"row": 0}, "response": {"digit": golden_digit(made.root)}})
        made.write_settings(entryScript="score.py", deployment={"accessLog": True})
        made.up()
        yield made


SCORE = '''\
"""An entry script as Azure's document has it: one global client of the Triton at localhost:8000."""
import json
import os

import numpy
import tritonhttpclient


def init():
    global client, rows
    client = tritonhttpclient.InferenceServerClient(url="localhost:8000")
    golden = os.path.join(os.environ["AZUREML_MODEL_DIR"], "triton", "digits", "golden.json")
    request = json.load(open(golden))["request"]["inputs"][0]
    rows = numpy.array(request["data"], numpy.float32).reshape(request["shape"])


def run(data):
    row = rows[[json.loads(data)["row"]]]
    tensor = tritonhttpclient.InferInput("image", list(row.shape), "FP32")
    tensor.set_data_from_numpy(row)
    answer = client.infer("digits", [tensor])
    return {"digit": int(answer.as_numpy("label")[0, 0])}
'''


def golden_digit(root: Path) -> int:
    """What the script should answer for the golden inference's first row."""
    golden = json.loads((root / "models" / "triton" / "digits" / "golden.json").read_text())
    label = next(output for output in golden["response"]["outputs"] if output["name"] == "label")
    return int(label["data"][0])
