"""A stack's violations of the policies for people: what the policy pack says, without Pulumi's CLI."""

from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from common.redaction import redacted
from policies.checking import Finding, check
from policies.configuration import read
from policies.preview import previewed
from policies.rule import Level

__all__ = ["show"]

_STYLES = {Level.MANDATORY: "bold red", Level.ADVISORY: "yellow"}


def show(console: Console, stack: str, text: str, configuration: str = "") -> int:
    """Print the violations in the JSON of a preview; gives an exit code, 1 where a mandatory rule is violated.

    Args:
        console: Where to print.
        stack: The stack's name.
        text: What `pulumi preview --json --show-sames` printed.
        configuration: The rules' configuration, "" for the defaults.

    Raises:
        PolicyError: There is no preview, or it failed, or the configuration has a mistake.
    """
    rules = read(Path(configuration) if configuration else None)
    previewed_stack = previewed(stack, text)
    found = list(check(previewed_stack, rules))
    if found:
        console.print(_table(found))
    mandatory = sum(finding.level is Level.MANDATORY for finding in found)
    console.print(
        f"stack '{stack}': {len(rules)} policies over {len(previewed_stack.resources)} resources, "
        f"{mandatory} mandatory and {len(found) - mandatory} advisory violations",
        markup=False,
        soft_wrap=True,
    )
    return 1 if mandatory else 0


def _table(found: list[Finding]) -> Table:
    table = Table("policy", "level", "violation", box=box.SIMPLE_HEAD)
    for finding in sorted(found, key=lambda each: each.level is not Level.MANDATORY):
        level = f"[{_STYLES[finding.level]}]{finding.level.value}[/]"
        table.add_row(finding.rule, level, escape(redacted(finding.message)))
    return table
