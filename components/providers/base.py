"""What the dynamic providers share: how inputs are compared and how errors and progress reach people.

Providers are stateless and live in modules whose path never changes, because Pulumi's state refers to them by it. Keys
reach them as secret inputs, never on `self`.
"""

import sys
import traceback
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from pulumi.dynamic import CheckResult, DiffResult, ResourceProvider

from common.bugs import BUGS
from common.redaction import redacted

__all__ = ["Provider", "reason", "say"]


def say(line: str) -> None:
    """Show a line of progress: both engines forward what a provider prints."""
    print(redacted(line), flush=True)


class Provider(ResourceProvider):
    """A dynamic provider whose resources change when their inputs do, or when `drifted` finds a reason.

    `outputs` names what it adds to the inputs, `ignored` the inputs that may change without anything to do, such as
    where a file lies whose content is compared.
    """

    serialize_as_secret_always = False
    outputs: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        return CheckResult(news, [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        inputs = (set(_olds) | set(_news)) - self.outputs - self.ignored - {"__provider"}
        changed = any(_olds.get(name) != _news.get(name) for name in inputs) or self.drifted(_olds)
        return DiffResult(changes=changed, replaces=[], stables=[], delete_before_replace=False)

    def drifted(self, outputs: Mapping[str, Any]) -> bool:
        """Tell whether this machine is no longer as `outputs` say, although no input changed."""
        return False


def reason() -> str:
    """The words of the exception that is being handled; its whole traceback where it is a mistake in our code."""
    error = sys.exc_info()[1]
    return traceback.format_exc() if isinstance(error, BUGS) or not str(error) else str(error)


def _tell_reasons_alone() -> None:
    """Make the SDK's server of dynamic providers send an exception's words, not its traceback.

    Pulumi's CLI shows whatever that server sends, and people looked for the reason below the frames. The server formats
    exceptions by its module `traceback`: nothing else offers a way. Elsewhere nothing changes.
    """
    server = sys.modules["__main__"]
    if getattr(server.__spec__, "name", "") == "pulumi.dynamic.__main__" and hasattr(server, "traceback"):
        vars(server)["traceback"] = SimpleNamespace(format_exc=reason)


_tell_reasons_alone()
