"""Certificates for tests: each signs itself."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(
    folder: Path, subject: str = "localhost", *, days: int = 1, host: str = "localhost"
) -> tuple[Path, Path]:
    """`tls.crt` and `tls.key` in `folder`, moved into place as a renewal would be; for `host`, for `days` more."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    folder.mkdir(parents=True, exist_ok=True)
    made = (folder / "tls.crt", folder / "tls.key")
    for file, content in zip(made, (certificate.public_bytes(serialization.Encoding.PEM), private), strict=True):
        aside = file.with_name(f".{file.name}")
        aside.write_bytes(content)
        aside.replace(file)
    return made
