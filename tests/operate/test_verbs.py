"""The verbs of the Makefile on a user's mistake: one line, exit code 1, no traceback."""

import json

import pytest

from operate import __main__ as operate


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a verb on a project whose stack `mine` has a file of a test's own."""
    (tmp_path / "Pulumi.yaml").write_text("name: triton-serving\nruntime: python\n")
    (tmp_path / "stacks").mkdir()
    monkeypatch.setattr(operate, "PROJECT", tmp_path)

    def run(verb, stack_file, given="", options=()):
        (tmp_path / "stacks" / "Pulumi.mine.yaml").write_text(stack_file)
        monkeypatch.setattr("sys.stdin.read", lambda: given, raising=False)
        code = operate.main([verb, "--stack", "mine", *options])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


GOOD = "config:\n  serviceName: web\n  models: ['m:1']\n"
VERBS = ("outputs", "status", "logs", "dashboard", "idle", "check")


@pytest.mark.parametrize("verb", VERBS)
def test_a_mistake_in_the_stacks_file_is_told(run, verb):
    code, _, told = run(verb, "config: [a]\n")
    assert (code, told.count("\n")) == (1, 2)
    assert "the file: expected 'config:' with a name and a value for each setting below it" in told


@pytest.mark.parametrize("verb", VERBS)
def test_an_encrypted_variable_is_told_as_the_preview_tells_it(run, verb):
    code, _, told = run(verb, GOOD + "  environment: {variables: {TOKEN: {secure: 'v1:a:b'}}}\n")
    assert code == 1
    assert "environment.variables.TOKEN: is encrypted, and only primaryKey, secondaryKey and imagePassword" in told


@pytest.mark.parametrize("verb", ["status", "logs", "dashboard"])
def test_a_service_that_is_not_deployed_is_told(run, verb):
    assert run(verb, GOOD) == (1, "", "service 'web' is not deployed on this machine; make up does it\n")


def test_a_number_of_lines_that_is_none_is_told(run):
    told = "LINES is 'all': expected a number of lines, as in: make logs STACK=mine LINES=1000\n"
    assert run("logs", GOOD, options=("--lines", "all")) == (1, "", told)


def test_the_dashboard_of_a_cluster_is_grafanas(run):
    code, _, told = run("dashboard", GOOD + "  deployment: {target: node-pool}\n")
    assert (code, told.count("\n")) == (1, 1)
    assert told.startswith("target node-pool: the dashboard shows services of this machine; on a cluster, ")
    assert "nodePool.monitoring" in told


def test_a_stack_without_outputs_is_told(run):
    code, shown, _ = run("outputs", GOOD, given="{}")
    assert (code, shown) == (1, "stack 'mine' has no outputs yet; deploy it: make up STACK=mine\n")


def test_outputs_are_a_table_and_commands(run):
    outputs = {"scoringUri": "http://localhost:6789", "tritonUri": "http://localhost:6789", "swaggerUri": None}
    code, shown, _ = run("outputs", GOOD, given=json.dumps(outputs))
    assert code == 0
    assert "key=$(make -s key STACK=mine)" in shown
    assert "http://localhost:6789/v2/health/ready -H @- <<< " in shown


def test_a_golden_request_that_cannot_be_read_is_told(run, tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "score.golden.json").write_text("{")
    code, _, told = run(
        "outputs", GOOD + "  entryScript: score.py\n", given=json.dumps({"scoringUri": "http://localhost:6789/score"})
    )
    assert code == 1
    assert 'score.golden.json: expected JSON, {"request": ..., "response": ...} or {"requestFile": ...' in told


def test_the_printed_command_sends_the_file_of_the_golden_request(run, tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "a cat.png").write_bytes(b"x")
    golden = {"requestFile": "a cat.png", "contentType": "image/png", "response": "cat"}
    (tmp_path / "scripts" / "score.golden.json").write_text(json.dumps(golden))
    settings = GOOD + "  entryScript: score.py\n  sourceDirectory: scripts\n"
    _, shown, _ = run("outputs", settings, given=json.dumps({"scoringUri": "http://localhost:6789/score"}))
    assert "-H 'Content-Type: image/png' --data-binary '@scripts/a cat.png'" in shown
