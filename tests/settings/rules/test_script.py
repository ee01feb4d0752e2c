"""An entry script and its golden request are judged before they are served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.settings.conftest import SCRIPT, Check


@pytest.mark.parametrize(
    ("script", "wrong"),
    [
        ("def init(:\n", "expected Python; line 1: "),
        ("def init(): ...\n", "expected functions init() and run(data); run is not in the file"),
        ("RUN = 1\n", "expected functions init() and run(data); init and run are not in the file"),
    ],
)
def test_a_script_that_the_server_cannot_load_is_told(mistakes: Check, project: Path, script: str, wrong: str) -> None:
    (project / "scripts" / "score.py").write_text(script)
    (mistake,) = mistakes({})
    assert mistake.startswith(f"entryScript has the value 'score.py': {wrong}")


@pytest.mark.parametrize(
    "script",
    [
        "from base import *\n",
        "from base import init, run\n",
        "async def init(): ...\nasync def run(data): ...\n",
        "init = run = print\n",
        "if True:\n    def init(): ...\nelse:\n    init = None\ntry:\n    run = 1\nfinally:\n    pass\n",
    ],
)
def test_a_script_may_get_its_functions_in_any_way(mistakes: Check, project: Path, script: str) -> None:
    (project / "scripts" / "score.py").write_text(script)
    assert mistakes({}) == []


@pytest.mark.parametrize("golden", ["{", "[]", '{"request": 1}'])
def test_a_golden_request_that_cannot_be_read_is_told(mistakes: Check, project: Path, golden: str) -> None:
    (project / "scripts" / "score.golden.json").write_text(golden)
    assert mistakes({}) == [
        "entryScript has the value 'score.py': PROJECT/scripts/score.golden.json: expected JSON, "
        '{"request": ..., "response": ...} or {"requestFile": ..., "contentType": ..., "response": ...}'
    ]
    (project / "scripts" / "score.golden.json").write_text(json.dumps({"request": 1, "response": 2}))
    assert mistakes({}) == []


@pytest.mark.parametrize(
    ("golden", "expected"),
    [
        ({"requestFile": "cat.png"}, "requestFile 'cat.png' is not there; expected a file at PROJECT/scripts/cat.png"),
        ({"requestFile": 1}, "expected texts for requestFile and contentType"),
        ({"requestFile": "large.png"}, "requestFile 'large.png' has 1048577 bytes; expected at most 1048576"),
        ({"requestFile": "small.png"}, None),
        ({"requestFile": "small.png", "request": 1}, "expected JSON, "),
    ],
)
def test_the_file_of_a_golden_request_is_looked_at(
    mistakes: Check, project: Path, golden: dict[str, Any], expected: str | None
) -> None:
    (project / "scripts" / "score.golden.json").write_text(json.dumps({**golden, "response": "cat"}))
    (project / "scripts" / "small.png").write_bytes(b"x")
    (project / "scripts" / "large.png").write_bytes(bytes((1 << 20) + 1))
    found = mistakes({})
    assert [expected in line for line in found] == [True] if expected else found == []


def test_a_script_may_be_linked_from_elsewhere_and_broken_links_are_told(mistakes: Check, project: Path) -> None:
    script = project / "scripts" / "score.py"
    script.rename(project / "elsewhere.py")
    script.symlink_to("../elsewhere.py")
    (project / "scripts" / ".hidden.py").write_text(SCRIPT)
    assert mistakes({}) == []
    (project / "scripts" / "weights").symlink_to("/nowhere")
    assert mistakes({"entryScript": ".hidden.py"}) == [
        "sourceDirectory has the value 'scripts': weights: a link to '/nowhere', which leads nowhere; remove it, or "
        "put the file there",
        "entryScript has the value '.hidden.py': is left out, as names that start with a dot and what tools make are; "
        "rename it",
    ]
