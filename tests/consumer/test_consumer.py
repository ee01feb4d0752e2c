"""The example that uses another stack's service, with each engine that is here."""

import json

from tests.consumer.conftest import KEY, Service, Stacks


def test_it_asks_the_service_and_keeps_the_key_secret(stacks: Stacks, service: Service) -> None:
    shown = stacks.must("consumer", "preview", "--stack", "dev")
    assert service.questions == []
    shown += stacks.must("consumer", "up", "--stack", "dev", "--yes", "--skip-preview")
    outputs = json.loads(stacks.must("consumer", "stack", "output", "--stack", "dev", "--json"))
    assert outputs == {"answer": "dog.", "model": "triton_model:1", "question": "What color is the fox"}
    assert KEY not in shown + stacks.state()

    stacks.must("consumer", "up", "--stack", "dev", "--yes", "--expect-no-changes")
    assert service.questions == ["What color is the fox"]
    stacks.must("consumer", "config", "set", "--stack", "dev", "question", "Who is lazy")
    stacks.must("consumer", "up", "--stack", "dev", "--yes", "--skip-preview")
    assert service.questions == ["What color is the fox", "Who is lazy"]


def test_a_key_that_is_refused_fails_the_update_and_is_not_shown(stacks: Stacks, service: Service) -> None:
    stacks.must("producer", "config", "set", "--stack", "local", "--secret", "key", "0ld-key")
    stacks.must("producer", "up", "--stack", "local", "--yes", "--skip-preview")
    failed = stacks.run("consumer", "up", "--stack", "dev", "--yes", "--skip-preview")
    assert failed.returncode != 0
    assert f"{service.uri} answered 401" in failed.stdout + failed.stderr
    assert "0ld-key" not in failed.stdout + failed.stderr + stacks.state()


def test_an_unknown_stack_is_named(stacks: Stacks) -> None:
    stacks.must("consumer", "config", "set", "--stack", "dev", "service", "organization/triton-serving/nowhere")
    failed = stacks.run("consumer", "preview", "--stack", "dev")
    assert failed.returncode != 0
    assert "organization/triton-serving/nowhere" in failed.stdout + failed.stderr


def test_another_projects_stack_shows_its_outputs_from_here(stacks: Stacks) -> None:
    asked = ("stack", "output", "primaryKey", "--show-secrets", "--stack")
    assert stacks.must("consumer", *asked, "organization/triton-serving/local").strip() == KEY
    nowhere = stacks.run("consumer", *asked, "organization/triton-serving/nowhere")
    assert nowhere.returncode != 0
    assert KEY not in nowhere.stdout + nowhere.stderr
