"""The template of `pulumi new`: its files belong together, and Pulumi's CLI makes a project of them."""

import ast
import filecmp
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from bundle.layout import check_layout
from operate.new.scripts import script_for
from tests.e2e.project import SOURCE
from tests.operate.new.conftest import run_script

TEMPLATE = SOURCE / "examples" / "template"


def test_its_model_is_the_example_s() -> None:
    example = SOURCE / "model_repository" / "triton" / "wine"
    compared = filecmp.dircmp(example, TEMPLATE / "models" / "triton" / "wine")
    assert (compared.left_only, compared.right_only, compared.diff_files) == ([], [], [])
    assert compared.subdirs["1"].diff_files == []
    check_layout(TEMPLATE / "models", target="process")


def test_its_script_is_the_one_that_make_new_writes_and_answers_its_golden_request() -> None:
    (model,) = check_layout(TEMPLATE / "models", target="process").models
    written = script_for(model, model.golden, gpu=False)
    assert (TEMPLATE / "scripts" / "score.py").read_text() == written.text
    golden = json.loads((TEMPLATE / "scripts" / "score.golden.json").read_text())
    assert golden == written.golden
    found = run_script(TEMPLATE / "scripts", TEMPLATE / "models", json.dumps(golden["request"]))
    for row, expected in zip(found["cultivar"], golden["response"]["cultivar"], strict=True):
        assert row == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_its_program_reads_the_settings_that_it_asks_for() -> None:
    asked = set(yaml.safe_load((TEMPLATE / "Pulumi.yaml").read_text())["template"]["config"])
    program = ast.parse((TEMPLATE / "__main__.py").read_text())
    read = {
        str(call.args[0].value)
        for call in ast.walk(program)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr.startswith("require")
        and isinstance(call.args[0], ast.Constant)
    }
    assert read - {"imageRepository"} == asked


def test_pulumi_s_cli_makes_a_project_of_it(tmp_path: Path) -> None:
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        pytest.skip("Pulumi's CLI is not on PATH")
    environment = {**os.environ, "PULUMI_HOME": str(tmp_path / "home"), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    command = [
        pulumi,
        "new",
        str(TEMPLATE),
        "--generate-only",
        "--yes",
        "--name",
        "wines",
        "--description",
        "Which grape",
    ]
    made = tmp_path / "wines"
    done = subprocess.run(
        [*command, "--dir", str(made)], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pulumi package add" in done.stdout
    project = yaml.safe_load((made / "Pulumi.yaml").read_text())
    assert (project["name"], project["description"]) == ("wines", "Which grape")
    assert (made / "README.md").read_text().startswith("# wines\n\nWhich grape\n")
    for file in (file for file in TEMPLATE.rglob("*") if file.is_file() and "__pycache__" not in file.parts):
        assert (made / file.relative_to(TEMPLATE)).is_file()
