"""Rules over the recorder: it has requests to record, and a place for them."""

from collections.abc import Iterator, Sequence

from settings.errors import Mistake
from settings.rules.models import BundleRead
from settings.rules.rule import rule
from settings.schema import Settings
from settings.variable_names import COLLECT

__all__ = ["recording_rules"]

_PATH = "deployment.recordRequests"


@rule
def recording_rules(settings: Settings, bundles: Sequence[BundleRead]) -> Iterator[Mistake]:
    """Yield what keeps the recorder from recording.

    Args:
        settings: A stack's settings.
        bundles: What `read_bundles` gave for them.
    """
    if settings.deployment.record_requests is None:
        return
    if not settings.environment.variables.get(COLLECT):
        yield Mistake(
            path=_PATH,
            expected=f"has no place to write to; set environment.variables.{COLLECT}, as data collection has it",
        )
    if not any(bundle.by_triton or bundle.unread for bundle in bundles):
        yield Mistake(
            path=_PATH,
            expected="records requests to Triton, and no model is Triton's; leave it out: data collection "
            f"({COLLECT}) records those to the entry script",
        )
