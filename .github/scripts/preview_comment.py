"""The pull request's comment on what each stack would change, made from `pulumi preview --json`.

Two sides, because a pull request's own code must not write comments: `record` runs beside the previewed program and
keeps what the comment needs, and `leave-out` records why there is no preview; `render` is run from the base branch, and
takes a record as a stranger's text.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MARKER = "<!-- pulumi preview -->"
COLUMNS = {"create": "create", "update": "update", "replace": "replace", "delete": "delete", "same": "unchanged"}
# The operations worth a line, with their signs; the halves of a replacement are covered by "replace".
SIGNS = {"create": "+", "update": "~", "replace": "+-", "delete": "-", "read": ">", "import": "="}
LONGEST_LIST = 50
LONGEST_COMMENT = 65_000  # GitHub refuses more than 65,536 characters
LONGEST_RECORD = 1_000_000


class RecordError(Exception):
    """A record that is not of the form that `record` writes."""


@dataclass(frozen=True)
class Step:
    """One resource that would change, and the names of the inputs that make it change."""

    op: str
    urn: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """What the comment needs of one stack's preview: counts, changes and errors, no values.

    `left_out` says why there is no preview, where there is none and nobody failed.
    """

    stack: str
    counts: dict[str, int]
    steps: tuple[Step, ...]
    errors: tuple[str, ...]
    left_out: str = ""


def record(stack: str, text: str, error: str = "") -> Record:
    """The record of a preview's JSON; text that is no JSON stands for a preview that failed before it began.

    `error` is what was wrong besides.
    """
    try:
        preview = json.loads(text)
    except json.JSONDecodeError:
        return Record(stack, {}, (), ("The preview did not start; see the job's log.",))
    steps = tuple(
        Step(step["op"], step["urn"], tuple(step.get("replaceReasons") or step.get("diffReasons") or ()))
        for step in preview.get("steps") or ()
        if step["op"] in SIGNS
    )
    errors = [item["message"] for item in preview.get("diagnostics") or () if item["severity"] == "error"]
    if not errors and "changeSummary" not in preview:
        errors = ["The preview did not end; see the job's log."]
    errors += [error] * bool(error)
    return Record(stack, preview.get("changeSummary") or {}, steps, tuple(errors))


def parse(text: str) -> Record:
    """Read a record; raises `RecordError` for anything else."""
    try:
        fields: dict[str, Any] = json.loads(text)
        counts = {str(op): int(count) for op, count in fields["counts"].items()}
        steps = tuple(
            Step(str(step["op"]), str(step["urn"]), tuple(str(reason) for reason in step["reasons"]))
            for step in fields["steps"]
        )
        errors = tuple(str(error) for error in fields["errors"])
        return Record(str(fields["stack"]), counts, steps, errors, str(fields.get("left_out", "")))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise RecordError(f"not a preview's record: {type(error).__name__}") from error


def render(records: Iterable[Record]) -> str:
    """The comment: a table of all stacks, then each stack's changes, folded."""
    ordered = sorted(records, key=lambda each: each.stack)
    lines = [
        MARKER,
        "### Preview",
        "",
        f"| stack | {' | '.join(COLUMNS.values())} | result |",
        f"|---|{'---:|' * len(COLUMNS)}---|",
        *(_row(each) for each in ordered),
    ]
    details = [_details(each) for each in ordered if each.steps or each.errors or each.left_out]
    comment = "\n".join(lines) + "\n"
    for detail in details:
        if len(comment) + len(detail) > LONGEST_COMMENT:
            return comment + "\nThe rest is in the jobs' logs.\n"
        comment += detail
    return comment


def _row(each: Record) -> str:
    counts = " | ".join(str(each.counts[op]) if each.counts.get(op) else "" for op in COLUMNS)
    changed = any(count for op, count in each.counts.items() if op != "same")
    result = "**failed**" if each.errors else "changes" if changed else "no preview" if each.left_out else "no change"
    return f"| {_code(each.stack)} | {counts} | {result} |"


def _details(each: Record) -> str:
    lines = ["", f"<details><summary>{_code(each.stack, html=True)}</summary>", ""]
    told = "\n".join((*each.errors, each.left_out)).splitlines()
    lines += [f"- {_code(line)}" for line in told[:LONGEST_LIST] if line.strip()]
    lines += [_change(step) for step in each.steps[:LONGEST_LIST]]
    left = len(each.steps) - LONGEST_LIST
    lines += [f"- … and {left} more"] * (left > 0)
    return "\n".join([*lines, "", "</details>", ""])


def _change(step: Step) -> str:
    # urn:pulumi:<stack>::<project>::<types from the root, joined by $>::<name>
    kind, _, name = step.urn.partition("::")[2].partition("::")[2].partition("::")
    reasons = f" ({', '.join(_code(reason) for reason in step.reasons[:10])})" if step.reasons else ""
    return f"- {_code(SIGNS.get(step.op, '?'))} {_code(kind.rpartition('$')[2])} {_code(name)}{reasons}"


def _code(text: str, html: bool = False) -> str:
    """A stranger's text as a code span that it cannot leave: no backtick, pipe, angle bracket or new line."""
    tame = re.sub(r"\s+", " ", re.sub(r"[`|<>&\x00-\x08\x0b-\x1f]", " ", text)).strip()[:300] or "?"
    return f"<code>{tame}</code>" if html else f"`{tame}`"


def _read(path: Path) -> Record:
    if path.stat().st_size > LONGEST_RECORD:
        raise RecordError(f"over {LONGEST_RECORD} bytes")
    return parse(path.read_text(encoding="utf-8", errors="replace"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives its exit code."""
    parser = argparse.ArgumentParser(description="Record a preview, or render records as a comment.")
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="print what the comment needs of a preview's JSON")
    recording.add_argument("stack")
    recording.add_argument("preview", type=Path)
    recording.add_argument("--error", default="", help="what was wrong besides")
    leaving_out = commands.add_parser("leave-out", help="print what the comment needs of a stack without a preview")
    leaving_out.add_argument("stack")
    leaving_out.add_argument("why")
    rendering = commands.add_parser("render", help="print the comment")
    rendering.add_argument("records", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "record":
        print(json.dumps(asdict(record(options.stack, options.preview.read_text(encoding="utf-8"), options.error))))
        return 0
    if options.command == "leave-out":
        print(json.dumps(asdict(Record(options.stack, {}, (), (), options.why))))
        return 0
    try:
        print(render([_read(path) for path in options.records]), end="")
    except RecordError as error:
        print(f"preview_comment: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
