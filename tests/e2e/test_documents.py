"""Whatever a client sends that fits a document of the service, or nearly fits it, the service answers without a 5xx."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.project import Project, project
from tests.v2_document import document

SCRIPT = '''\
"""An entry script whose document tells its input."""
import numpy
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema("rows", NumpyParameterType(numpy.array([[1.5, 2.5]])))
@input_schema("note", StandardPythonParameterType("a text"))
@output_schema(StandardPythonParameterType({"rows": 1}))
def run(rows, note):
    return {"rows": len(rows), "note": note}
'''
ENVIRONMENT = {"name": "Documents", "clone": "AzureML-Triton", "pipPackages": ["inference-schema[numpy-support]"]}
EXAMPLES = 6
SECONDS = 250


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with project(tmp_path_factory.mktemp("e2e") / "project") as made:
        made.add_model("digits")
        made.write_script(SCRIPT)
        made.write_settings(entryScript="score.py", environment=ENVIRONMENT)
        made.up()
        yield made


def ask(deployed: Project, folder: Path, described: object, key: str) -> None:
    """Have schemathesis ask everything that a document tells; fails on a 5xx, and where no answer comes."""
    file = folder / "document.json"
    file.write_text(json.dumps(described))
    options = {
        "url": deployed.url,
        "header": f"Authorization: Bearer {key}",
        "checks": "not_a_server_error",
        "phases": "examples,coverage,fuzzing",
        "max-examples": EXAMPLES,
        "request-timeout": 20,
        "warnings": "off",
        "suppress-health-check": "all",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    flags += ["--generation-deterministic", "--continue-on-failure", "--no-shrink", "--no-color"]
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", str(file), *flags],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout
    assert "No issues found" in done.stdout


def test_the_v2_protocol_answers_without_a_5xx(deployed: Project, tmp_path: Path) -> None:
    described = document("digits", "image", [1, 8, 8], ["label", "probabilities"])
    ask(deployed, tmp_path, described, deployed.outputs()["primaryKey"])


def test_the_entry_script_answers_without_a_5xx(deployed: Project, tmp_path: Path) -> None:
    with deployed.client() as client:
        described = client.get("/swagger.json", params={"version": "3"}).json()
    assert set(described["paths"]) == {"/", "/score", "/swagger.json"}
    ask(deployed, tmp_path, described, deployed.outputs()["primaryKey"])
