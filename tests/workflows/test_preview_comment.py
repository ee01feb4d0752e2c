"""The pull request's comment: what it shows of a preview, and what a stranger's record cannot do to it."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / ".github" / "scripts" / "preview_comment.py"
URN = "urn:pulumi:staging::triton-serving::triton:index:Gateway$triton:index:ProcessFrontDoor::web-gateway"


@pytest.fixture(scope="module")
def preview_comment() -> ModuleType:
    spec = importlib.util.spec_from_file_location("preview_comment", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def preview(**more: object) -> str:
    steps = [
        {"op": "same", "urn": URN, "newState": {"inputs": {"key": "value-that-stays-away"}}},
        {
            "op": "update",
            "urn": URN,
            "diffReasons": ["routes"],
            "newState": {"inputs": {"key": "value-that-stays-away"}},
        },
        {"op": "create-replacement", "urn": URN},
        {"op": "replace", "urn": URN, "replaceReasons": ["port"], "diffReasons": ["port", "routes"]},
    ]
    return json.dumps({"steps": steps, "changeSummary": {"same": 7, "update": 1, "replace": 1}, **more})


def test_the_comment_counts_and_names_what_changes(preview_comment: ModuleType) -> None:
    comment = preview_comment.render([preview_comment.record("staging", preview())])
    assert comment.startswith(preview_comment.MARKER)
    assert "| `staging` |  | 1 | 1 |  | 7 | changes |" in comment
    assert "- `~` `triton:index:ProcessFrontDoor` `web-gateway` (`routes`)" in comment
    assert "- `+-` `triton:index:ProcessFrontDoor` `web-gateway` (`port`)" in comment
    assert comment.count("\n- ") == 2


def test_a_record_holds_no_values(preview_comment: ModuleType) -> None:
    assert "value-that-stays-away" not in repr(preview_comment.record("staging", preview()))


def test_stacks_are_sorted_and_those_without_changes_have_no_details(preview_comment: ModuleType) -> None:
    quiet = preview_comment.record("b", json.dumps({"steps": [], "changeSummary": {"same": 3}}))
    comment = preview_comment.render([quiet, preview_comment.record("a", preview())])
    assert comment.index("| `a` |") < comment.index("| `b` |")
    assert "| `b` |  |  |  |  | 3 | no change |" in comment
    assert comment.count("<details>") == 1


@pytest.mark.parametrize("text", ["", "error: no stack named 'x' found", '{"steps": []}'])
def test_a_preview_that_did_not_end_is_a_failure(preview_comment: ModuleType, text: str) -> None:
    assert "**failed**" in preview_comment.render([preview_comment.record("staging", text)])


def test_errors_are_shown(preview_comment: ModuleType) -> None:
    diagnostics = [
        {"severity": "error", "message": "models[0].path: no folder\n"},
        {"severity": "info", "message": "x"},
    ]
    found = preview_comment.record("staging", preview(diagnostics=diagnostics))
    assert found.errors == ("models[0].path: no folder\n",)
    assert "- `models[0].path: no folder`" in preview_comment.render([found])


def test_a_stack_that_was_left_out_says_why_and_is_no_failure(
    preview_comment: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert preview_comment.main(["leave-out", "staging", "needs | the stack's passphrase"]) == 0
    comment = preview_comment.render([preview_comment.parse(capsys.readouterr().out)])
    assert "| `staging` |  |  |  |  |  | no preview |" in comment
    assert "- `needs the stack's passphrase`" in comment


def test_a_record_reads_back_as_it_was_written(
    preview_comment: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "preview.json"
    source.write_text(preview())
    assert preview_comment.main(["record", "staging", str(source)]) == 0
    assert preview_comment.parse(capsys.readouterr().out) == preview_comment.record("staging", preview())


@pytest.mark.parametrize("name", ["</details>\n# Approved", "`code`", "| a | b |", "[x](https://example.org)", "@team"])
def test_a_strangers_text_stays_inside_its_code_span(preview_comment: ModuleType, name: str) -> None:
    step = preview_comment.Step("create", f"urn:pulumi:s::p::t::{name}", (name,))
    comment = preview_comment.render([preview_comment.Record(name, {"create": 1}, (step,), (name,))])
    for line in comment.splitlines():
        assert line.count("`") % 2 == 0
        assert not line.startswith("# ")
    assert comment.count("</details>") == 1
    outside = "".join(comment.split("`")[::2])
    assert "example.org" not in outside.replace("<code>[x](https://example.org)</code>", "")
    assert "@team" not in outside.replace("<code>@team</code>", "")


def test_a_huge_record_gives_a_comment_that_github_takes(preview_comment: ModuleType) -> None:
    steps = tuple(preview_comment.Step("create", f"urn:pulumi:s::p::t::{'n' * 1000}") for _ in range(1000))
    records = [preview_comment.Record(f"stack-{i}", {"create": 1000}, steps, ()) for i in range(30)]
    comment = preview_comment.render(records)
    assert len(comment) < 65_536
    assert "… and 950 more" in comment
    assert comment.endswith("The rest is in the jobs' logs.\n")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"stack": "a", "counts": {"create": "x"}, "steps": [], "errors": []}']
)
def test_anything_but_a_record_is_refused_in_one_line(
    preview_comment: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    assert preview_comment.main(["render", str(path)]) == 1
    assert capsys.readouterr().err.startswith("preview_comment: not a preview's record")
