"""A stack's file says what its settings are, whatever characters they have."""

from hypothesis import given
from hypothesis import strategies as st

from common import pulumi_yaml
from operate.new.stack_text import stack_text

TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12) | st.sampled_from(
    ["1.0", "0x1f", "yes", "null", "~", "1e3", "2026-01-01", "a: b", "# c", "- d", "'", '"', " e ", "1_000", "0o7"]
)


@given(TEXTS, TEXTS, TEXTS)
def test_pulumi_reads_what_was_written(path: str, name: str, given: str) -> None:
    values = {
        "serviceName": name,
        "models": [{"path": path, "name": name, "framework": "Multi"}],
        "environment": {"name": name, "pipPackages": [path, given]},
        "deployment": {"target": "process", "gpuCores": 0, "authEnabled": True, "cpuCores": 1.5},
        "nodePool": {"nodeSelector": {"kubernetes.io/os": given}},
    }
    text = stack_text(values, namespace="p", stack="mine", model=given)
    assert pulumi_yaml.load(text)["config"] == {f"p:{key}": value for key, value in values.items()}
