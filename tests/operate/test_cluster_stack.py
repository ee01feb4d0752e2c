"""The kubeconfig of another stack, read by a command that takes the engine's place."""

import pytest

from operate.cluster_stack import kubeconfig
from settings.node_pool import NodePoolSettings
from targets.errors import ServiceError

POOL = NodePoolSettings.model_validate({"clusterStack": "organization/infra/prod", "kubeconfigOutput": "admin"})


@pytest.fixture
def engine(tmp_path):
    """Write a command that does what a test says."""

    def write(script):
        command = tmp_path / "engine"
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
        return f"{command} -m engine"

    return write


def test_it_comes_through_a_pipe(engine, tmp_path):
    text = kubeconfig(POOL, engine(f'echo "$@" > {tmp_path}/asked; echo "kind: Config"'))
    assert text == "kind: Config\n"
    asked = (tmp_path / "asked").read_text()
    assert asked == "-m engine stack output admin --show-secrets --stack organization/infra/prod\n"


def test_what_the_engine_says_is_told_with_the_stack_and_the_output(engine):
    with pytest.raises(ServiceError) as failure:
        kubeconfig(POOL, engine("echo s3cret; echo error: no stack named x >&2; exit 1"))
    for words in ("the output 'admin' of the stack organization/infra/prod", "no stack named x", "run up there"):
        assert words in str(failure.value)
    assert "s3cret" not in str(failure.value)


def test_an_engine_that_is_not_there_is_named():
    with pytest.raises(ServiceError, match="no-such-engine is not on PATH"):
        kubeconfig(POOL, "no-such-engine")
