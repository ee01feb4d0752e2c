"""The order in which test files begin: the longest first, so that no worker is left alone with one at the end."""

import os
import tempfile
from pathlib import Path

import pytest

from targets.machine import ports
from tests.verdicts import TALLIES

HERE = Path(__file__).parent
LONGEST = (
    "e2e/test_verdicts.py",
    "e2e/test_rollout.py",
    "e2e/test_versions.py",
    "e2e/test_life.py",
    "engine/test_remote_components.py",
    "targets/process/test_traces.py",
    "e2e/test_new_stack.py",
    "e2e/test_clients.py",
    "e2e/test_dashboard.py",
    "e2e/test_documents.py",
    "engine/test_failures.py",
    "examples/test_examples.py",
    "e2e/test_moves.py",
    "examples/test_your_model.py",
    "targets/process/test_steps.py",
    "serving/test_answers_under_load.py",
    "engine/test_interchange.py",
    "targets/node_pool/test_previews.py",
    "engine/test_operations.py",
    "serving/test_command_line.py",
    "operate/test_make.py",
    "targets/process/test_rollout.py",
    "targets/process/test_gates.py",
    "gateway/test_traffic_shares.py",
    "bundle/test_good_models.py",
    "serving/proving/test_prover.py",
    "serving/proving/test_performance.py",
    "serving/test_limits.py",
    "serving/test_lifecycle.py",
    "targets/process/test_supervisor.py",
    "targets/process/test_revival.py",
    "targets/process/test_troubleshooting.py",
    "targets/process/test_onnxruntime_backend.py",
    "targets/node_pool/test_every_object.py",
    "e2e/test_cancelled_check.py",
    "consumer/test_consumer.py",
    "policies/test_verb.py",
    "policies/test_pack.py",
    "package/test_embedded.py",
    "serving/test_collection.py",
    "serving/test_stopping.py",
    "serving/test_health.py",
    "engine/test_verbs.py",
    "bundle/test_bad_models.py",
    "environment/test_venv.py",
    "serving/test_contract.py",
    "targets/process/test_front_door.py",
    "engine/test_kills.py",
    "consumer/test_own_stack.py",
    "targets/report/test_page.py",
    "components/test_node_pool_service.py",
    "targets/process/test_laid_out_models.py",
    "gateway/test_access_log.py",
    "gateway/test_generations.py",
    "bundle/test_reshaping.py",
    "targets/test_fourth_target.py",
    "gateway/test_grpc_grants.py",
    "gateway/test_door_metrics.py",
    "gateway/test_tokens.py",
    "gateway/test_client_limits.py",
)
"""What takes longer than ten seconds, as a run with `--durations` shows."""


PORTS_OF_A_WORKER = 1000


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make soak-rollouts` judge each planted version more than once."""
    parser.addoption("--rollout-runs", type=int, default=1, help="how often tests of a rollout's verdict run each case")


@pytest.fixture
def rollout_runs(request: pytest.FixtureRequest) -> int:
    """How often a test of a rollout's verdict runs its case."""
    return int(request.config.getoption("--rollout-runs"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the table of verdicts where a soak made one."""
    if TALLIES and terminalreporter.config.getoption("--rollout-runs") > 1:
        terminalreporter.section("verdicts")
        for case, tally in TALLIES.items():
            terminalreporter.line(f"{case:<32} {tally}")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse an order that names a file which is not there; give workers ports of their own, and keys a place."""
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        # Below those of commands that tests run. Otherwise a port that is closed now is another worker's server soon.
        first = ports.LOOPBACK_PORTS.start - PORTS_OF_A_WORKER * (int(worker.removeprefix("gw")) + 1)
        ports.LOOPBACK_PORTS = range(first, first + PORTS_OF_A_WORKER)
    if "KEPT_KEYS" not in os.environ:  # a worker has its controller's
        keys = tempfile.TemporaryDirectory()
        config.add_cleanup(keys.cleanup)
        os.environ["KEPT_KEYS"] = keys.name
    if missing := [name for name in LONGEST if not (HERE / name).is_file()]:
        raise pytest.UsageError(f"{__file__}: LONGEST names {', '.join(missing)}; expected files of {HERE}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the longest files first; within a file, tests keep their order."""
    ranks = {HERE / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))
