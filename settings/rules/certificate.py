"""Rules over the front door's certificate: the files that Envoy reads are there and belong together."""

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from settings.errors import Mistake
from settings.rules.rule import rule
from settings.schema import Settings

__all__ = ["certificate_rules"]


@rule
def certificate_rules(settings: Settings) -> Iterator[Mistake]:
    """Yield what is wrong with the files of `tls`."""
    if settings.tls is None:
        return
    certificate_file, key_file = settings.tls.certificate_file, settings.tls.key_file
    certificate, key = Path(certificate_file).resolve(), Path(key_file).resolve()
    missing = [
        Mistake(path=path, value=repr(given.written), expected=f"expected a PEM file at {file}")
        for path, given, file in (
            ("tls.certificateFile", certificate_file, certificate),
            ("tls.keyFile", key_file, key),
        )
        if not file.is_file()
    ]
    if missing:
        yield from missing
        return
    if Path(certificate_file).parent != Path(key_file).parent:
        yield Mistake(
            path="tls.keyFile",
            value=repr(key_file.written),
            expected=f"expected a file in the folder of tls.certificateFile, {Path(certificate_file).parent}: a "
            "renewal replaces both there",
        )
    yield from _pair(certificate, key, repr(certificate_file.written), repr(key_file.written))


@rule
def _pair(certificate_file: Path, key_file: Path, certificate_value: str, key_value: str) -> Iterator[Mistake]:
    of_certificate = of_key = None
    try:
        certificate = x509.load_pem_x509_certificates(certificate_file.read_bytes())[0]
        of_certificate, end = certificate.public_key(), certificate.not_valid_after_utc
        if end < datetime.now(timezone.utc):
            yield Mistake(
                path="tls.certificateFile",
                value=certificate_value,
                expected=f"expected a certificate in force; this one ended on {end:%Y-%m-%d}",
            )
        if not any(extension.oid == x509.OID_SUBJECT_ALTERNATIVE_NAME for extension in certificate.extensions):
            yield Mistake(
                path="tls.certificateFile",
                value=certificate_value,
                expected="expected a certificate with the hosts that it is for (subjectAltName): clients refuse others",
            )
    except (OSError, ValueError):
        yield Mistake(
            path="tls.certificateFile", value=certificate_value, expected="expected a file with a certificate in PEM"
        )
    try:
        of_key = load_pem_private_key(key_file.read_bytes(), password=None).public_key()
    except (OSError, TypeError, ValueError):
        yield Mistake(
            path="tls.keyFile",
            value=key_value,
            expected="expected a file with a private key in PEM, without a password",
        )
    if of_certificate is not None and of_key is not None and _bytes(of_certificate) != _bytes(of_key):
        yield Mistake(
            path="tls.keyFile",
            value=key_value,
            expected="expected the private key of tls.certificateFile; it is another's",
        )


def _bytes(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
