"""A requirements.txt is taken where pip packages are, and its mistakes are told at preview with file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from settings.requirements_file import pip_packages
from settings.schema import Settings
from tests.settings.conftest import Check

FILE = {"environment": {"requirementsFile": "requirements.txt"}}


def test_its_lines_come_before_the_pip_packages(settings_of: Callable[..., Settings], project: Path) -> None:
    (project / "requirements.txt").write_text(
        "\ufeff# what scripts need\n\npillow >= 10  # images\nrequests[socks]==2.32.3 ; \\\n  python_version >= '3.9'\n"
        "lib @ https://host/lib-1.0-py3-none-any.whl#sha256=0\n"
    )
    assert pip_packages(settings_of(FILE).environment) == [
        "pillow >= 10",
        "requests[socks]==2.32.3 ;   python_version >= '3.9'",
        "lib @ https://host/lib-1.0-py3-none-any.whl#sha256=0",
        "nltk",
    ]


def test_a_file_of_comments_adds_nothing(settings_of: Callable[..., Settings], project: Path) -> None:
    (project / "requirements.txt").write_text("# nothing \\\n\n   \n# -r more.txt\n")
    assert pip_packages(settings_of(FILE).environment) == ["nltk"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("-r more.txt", "has the option -r, and no option of pip is read here; write the lines of that file here"),
        ("--requirement=more.txt", "has the option --requirement, and no option of pip is read here; write the lines"),
        ("-c pins.txt", "has the option -c, and no option of pip is read here; write the versions of that file here"),
        ("-e .", "has the option -e, and no option of pip is read here; name a wheel by its URL"),
        ("--index-url https://host/simple", "has the option --index-url, and no option of pip is read here; name the"),
        ("--extra-index-url=https://host/simple", "has the option --extra-index-url, and no option of pip is read"),
        (
            "nltk==3.9.1 \\\n  --hash=sha256:0",
            "has the option --hash, and no option of pip is read here; leave the hash",
        ),
        ("--pre", "has the option --pre, and no option of pip is read here; ask for a pre-release by its version"),
        ("--no-binary :all:", "has the option --no-binary, and no option of pip is read here; leave the option out"),
        ("./wheels/lib-1.0-py3-none-any.whl", "names no package; expected its name first, as in 'name @ https://"),
        ("https://host/lib-1.0-py3-none-any.whl", "names no package; expected its name first"),
        ("nltk=3.9", "is not a requirement as PEP 508 writes it, like 'nltk' or 'nltk==3.9.1': Expected"),
    ],
)
def test_a_line_that_is_no_requirement_is_told_with_what_to_write(
    mistakes: Check, project: Path, line: str, told: str
) -> None:
    (project / "requirements.txt").write_text(f"# first\npillow\n{line}\n")
    (found,) = mistakes(FILE)
    shown = line.replace("\\\n", "")
    assert found.startswith(
        f"environment.requirementsFile has the value 'requirements.txt': line 3, {shown!r}, {told}"
    ), found


def test_a_package_that_the_environment_cannot_have_is_told(mistakes: Check, project: Path) -> None:
    (project / "requirements.txt").write_text("numpy==1.0\n")
    (found,) = mistakes(FILE)
    assert "line 1, 'numpy==1.0', cannot be had: pip package 'numpy==1.0' contradicts the curated environment" in found


def test_a_credential_is_refused_without_quoting_it(mistakes: Check, project: Path) -> None:
    (project / "requirements.txt").write_text("lib @ https://me:hunter2@host/lib-1.0-py3-none-any.whl\n")
    (found,) = mistakes(FILE)
    assert "line 1, " in found
    assert "the state and its history would show it" in found
    assert "hunter2" not in found


def test_a_file_that_cannot_be_read_is_told(mistakes: Check, project: Path) -> None:
    wrong = "environment.requirementsFile has the value 'requirements.txt': expected"
    assert mistakes(FILE) == [f"{wrong} a file of pip requirements at PROJECT/requirements.txt"]
    (project / "requirements.txt").write_bytes(b"nltk\n\xff")
    assert mistakes(FILE) == [f"{wrong} UTF-8 text; byte 5 is none"]
