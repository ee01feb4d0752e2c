"""The front door's certificate, as its file tells it."""

from pathlib import Path

from cryptography import x509

from settings.schema import Settings

__all__ = ["certificate_host", "server_name"]


def certificate_host(settings: Settings) -> str:
    """Tell the host that the front door's certificate is for.

    Args:
        settings: A stack's settings, which the rules have passed.

    Returns:
        `localhost` where the certificate names it, or else the first host as the certificate has it, be it
        `*.example.org`; "" without TLS.
    """
    if settings.tls is None:
        return ""
    certificate = x509.load_pem_x509_certificate(Path(settings.tls.certificate_file).read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    found = names.get_values_for_type(x509.DNSName)
    return "localhost" if "localhost" in found or not found else found[0]


def server_name(settings: Settings) -> str:
    """Give a host that the front door's certificate is for, to ask for by that name; "" without TLS."""
    return certificate_host(settings).replace("*", "check")
