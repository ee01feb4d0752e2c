"""A file of pip requirements, as `environment.requirementsFile` names it, read line by line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from environment import curated_clone
from gateway.otel_variables import traces_of
from settings.schema import Environment

__all__ = ["RequirementLine", "pip_packages", "read_requirements"]

_COMMENT = re.compile(r"(^|\s)#.*$")
_CONTINUED = re.compile(r"\\$")
_OPTION = re.compile(r"(?:^|\s)(-[A-Za-z]|--[a-z-]+)")
_INDEX = (
    "name the index in PIP_INDEX_URL or PIP_EXTRA_INDEX_URL of the shell that deploys, or in pip's configuration: "
    "an index belongs to a machine"
)
_IN_PLACE_OF = {
    ("-r", "--requirement"): "write the lines of that file here",
    ("-c", "--constraint"): "write the versions of that file here, as in 'nltk==3.9.1'",
    ("-e", "--editable"): "name a wheel by its URL, as in 'name @ https://host/name-1.0-py3-none-any.whl', or put the "
    "code into sourceDirectory",
    ("-i", "--index-url", "--extra-index-url", "--no-index", "-f", "--find-links", "--trusted-host"): _INDEX,
    ("--hash", "--require-hashes"): "leave the hashes out: the environment's lock has a hash of every package",
    ("--pre",): "ask for a pre-release by its version, as in 'nltk>=4.0rc1'",
}
_INSTEAD = {option: words for options, words in _IN_PLACE_OF.items() for option in options}


@dataclass(frozen=True)
class RequirementLine:
    """One requirement of a file: the number of its first line, its text, and what is wrong with it, or ""."""

    number: int
    text: str
    problem: str = ""


def read_requirements(file: Path) -> list[RequirementLine]:
    """Read the requirements of a file as pip does: without comments and blank lines, continued lines as one.

    Args:
        file: The requirements file.

    Returns:
        A line for each requirement. A line that is an option of pip, or no requirement as PEP 508 writes it, has a
        problem that says what to write in its place.

    Raises:
        OSError: The file cannot be read.
        UnicodeDecodeError: The file is no UTF-8 text.
    """
    return [
        RequirementLine(number, text, _problem(text)) for number, text in _lines(file.read_text(encoding="utf-8-sig"))
    ]


def pip_packages(declared: Environment) -> list[str]:
    """List an environment's packages: the requirements of its file, and then the other pip packages.

    pip does the same with `pip install -r requirements.txt nltk`: it takes both, and so they must agree. Where the
    variables ask for traces, those that the entry script server needs for them follow, unless they are there.

    Args:
        declared: The settings of an environment, which the rules have passed.
    """
    lines = [] if declared.requirements_file is None else read_requirements(Path(declared.requirements_file))
    asked = [*(line.text for line in lines), *declared.pip_packages]
    if traces_of(declared.variables, declared.name) is None:
        return asked
    names = {canonicalize_name(Requirement(package).name) for package in asked}
    needed = curated_clone.Environment.get(declared.clone or declared.name).curated.traces
    return [*asked, *(package for package in needed if canonicalize_name(Requirement(package).name) not in names)]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each logical line that is not empty, with the number of the line where it starts."""
    first, held = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        first = first if held else number
        if _CONTINUED.search(line) and not _COMMENT.match(line):
            held += line[:-1] or " "
            continue
        whole = _COMMENT.sub("", held + line).strip()
        held = ""
        if whole:
            yield first, whole
    if whole := _COMMENT.sub("", held).strip():
        yield first, whole


def _problem(text: str) -> str:
    """Say what is wrong with a line and what to write in its place; "" for a requirement."""
    if option := _OPTION.search(text):
        instead = _INSTEAD.get(option[1], "leave the option out: a line holds a requirement alone")
        return f"has the option {option[1]}, and no option of pip is read here; {instead}"
    try:
        Requirement(text)
    except InvalidRequirement as error:
        if text.startswith((".", "/")) or "://" in text.partition(" ")[0]:
            return "names no package; expected its name first, as in 'name @ https://host/name-1.0-py3-none-any.whl'"
        return f"is not a requirement as PEP 508 writes it, like 'nltk' or 'nltk==3.9.1': {str(error).splitlines()[0]}"
    return ""
