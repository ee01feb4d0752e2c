"""The front door's certificate and key are there, in force, and belong together."""

from __future__ import annotations

from pathlib import Path

from tests.certificates import make_certificate
from tests.settings.conftest import Check

TLS = {"certificateFile": "tls.crt", "keyFile": "tls.key"}


def test_certificate_files_that_are_not_there_are_named(mistakes: Check) -> None:
    assert mistakes({"tls": TLS}) == [
        "tls.certificateFile has the value 'tls.crt': expected a PEM file at PROJECT/tls.crt",
        "tls.keyFile has the value 'tls.key': expected a PEM file at PROJECT/tls.key",
    ]


def test_files_without_certificate_and_key_are_refused(mistakes: Check, project: Path) -> None:
    for name in TLS.values():
        (project / name).write_text("nothing of the kind\n")
    assert mistakes({"tls": TLS}) == [
        "tls.certificateFile has the value 'tls.crt': expected a file with a certificate in PEM",
        "tls.keyFile has the value 'tls.key': expected a file with a private key in PEM, without a password",
    ]


def test_a_key_of_another_certificate_is_refused(mistakes: Check, project: Path) -> None:
    make_certificate(project)
    _, key = make_certificate(project / "other")
    key.replace(project / "tls.key")
    assert mistakes({"tls": TLS}) == [
        "tls.keyFile has the value 'tls.key': expected the private key of tls.certificateFile; it is another's"
    ]


def test_a_certificate_that_ended_is_refused(mistakes: Check, project: Path) -> None:
    make_certificate(project, days=-2)
    (found,) = mistakes({"tls": TLS})
    assert found.startswith(
        "tls.certificateFile has the value 'tls.crt': expected a certificate in force; this one ended on 20"
    )


def test_certificate_and_key_lie_in_one_folder(mistakes: Check, project: Path) -> None:
    _, key = make_certificate(project)
    (project / "private").mkdir()
    key.replace(project / "private" / "tls.key")
    assert mistakes({"tls": {"certificateFile": "tls.crt", "keyFile": "private/tls.key"}}) == [
        "tls.keyFile has the value 'private/tls.key': expected a file in the folder of tls.certificateFile, PROJECT: a "
        "renewal replaces both there"
    ]
