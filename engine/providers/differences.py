"""What a provider answers when it is asked for differences."""

from __future__ import annotations

from engine.providers.proto import provider_pb2
from engine.state.diff import NO_DIFF, Diff

_KINDS = ("add", "add-replace", "delete", "delete-replace", "update", "update-replace")


def told_diff(response: provider_pb2.DiffResponse, of_inputs: Diff) -> Diff:
    """Return the provider's answer, or the difference of inputs where the provider does not know."""
    if response.changes == provider_pb2.DiffResponse.DIFF_NONE:
        return NO_DIFF
    known = response.changes == provider_pb2.DiffResponse.DIFF_SOME
    return Diff(
        changed=known or of_inputs.changed,
        replace_keys=tuple(response.replaces),
        delete_before_replace=response.deleteBeforeReplace,
        changed_keys=tuple(response.diffs) if known else of_inputs.changed_keys,
        detailed={path: _KINDS[item.kind] for path, item in response.detailedDiff.items()}
        if known
        else of_inputs.detailed,
        of_inputs=not known or all(item.inputDiff for item in response.detailedDiff.values()),
    )
