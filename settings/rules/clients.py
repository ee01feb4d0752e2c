"""Rules over clients: each is told from the others, and may ask for something that is there."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509

from common.loopback import is_loopback
from gateway.clients import DEFAULT
from gateway.front_door_options import MAX_REQUESTS_PER_SECOND
from settings.clients import ClientSettings, JwtSettings
from settings.errors import Mistake
from settings.project_path import ProjectPath
from settings.rules.models import BundleRead
from settings.rules.rule import rule
from settings.schema import Settings

__all__ = ["client_rules"]

_ALL_STATISTICS = "stats"  # `/v2/models/stats` has those of all models


@rule
def client_rules(settings: Settings, bundles: Sequence[BundleRead]) -> Iterator[Mistake]:
    """Yield what is wrong with the clients.

    Args:
        settings: A stack's settings.
        bundles: What `settings.rules.models.read_bundles` gave for them.
    """
    if settings.clients and not settings.deployment.auth_enabled:
        yield Mistake(
            path="clients",
            expected="need deployment.authEnabled: without it the front door asks nobody who they are; remove them, or "
            "set it to true",
        )
    yield from _names_are_own(settings.clients)
    for index, client in enumerate(settings.clients):
        path = f"clients[{index}]"
        yield from _one_proof(client, path)
        yield from _models_are_served(settings, client, path, bundles)
        yield from _limits_are_taken(client, path)
        yield from _token_is_safe(client, f"{path}.jwt")
        yield from _certificate_can_be_shown(settings, client, f"{path}.certificate")
    yield from _tokens_reach_each(settings.clients)
    yield from _subjects_are_own(settings.clients)


@rule
def _names_are_own(clients: Sequence[ClientSettings]) -> Iterator[Mistake]:
    names = Counter(client.name for client in clients)
    for index, client in enumerate(clients):
        if client.name == DEFAULT or names[client.name] > 1:
            why = "is whoever sends primaryKey or secondaryKey" if client.name == DEFAULT else "is there twice"
            yield Mistake(
                path=f"clients[{index}].name", value=repr(client.name), expected=f"{why}; expected a name of its own"
            )


@rule
def _one_proof(client: ClientSettings, path: str) -> Iterator[Mistake]:
    if client.jwt is not None and client.certificate is not None:
        yield Mistake(
            path=f"{path}.certificate",
            expected="expected jwt or certificate, not both; make two clients of it, or remove one of the two",
        )
    if "key_rotation" in client.model_fields_set and not client.has_keys:
        proof = "jwt" if client.jwt is not None else "certificate"
        yield Mistake(path=f"{path}.keyRotation", expected=f"does nothing: {proof} stands for its keys; remove it")


@rule
def _models_are_served(
    settings: Settings, client: ClientSettings, path: str, bundles: Sequence[BundleRead]
) -> Iterator[Mistake]:
    if client.models is None:
        if client.score:
            expected = "does nothing without models: the client may call /score already; remove it"
            yield Mistake(path=f"{path}.score", value="true", expected=expected)
        return
    if client.score and settings.entry_script is None:
        yield Mistake(
            path=f"{path}.score", value="true", expected="needs an entryScript, which answers /score; remove it"
        )
    if not client.models and not client.score:
        yield Mistake(
            path=f"{path}.models",
            value="[]",
            expected="grants nothing; name models, set score to true, or remove the client",
        )
    if any(bundle.unread for bundle in bundles):
        return
    served = sorted({model["name"] for bundle in bundles if bundle.by_triton for model in bundle.models})
    expected = f"expected one of {', '.join(served)}" if served else "Triton serves none"
    for index, name in enumerate(client.models):
        if name not in served:
            yield Mistake(
                path=f"{path}.models[{index}]",
                value=repr(name),
                expected=f"is no model of this service; {expected}",
            )
        elif name == _ALL_STATISTICS:
            yield Mistake(
                path=f"{path}.models[{index}]",
                value=repr(name),
                expected="cannot be granted alone: /v2/models/stats has the statistics of all models; rename the model",
            )


@rule
def _limits_are_taken(client: ClientSettings, path: str) -> Iterator[Mistake]:
    for name, limit in (
        ("requestsPerSecond", client.requests_per_second),
        ("maxConcurrent", client.max_concurrent),
    ):
        if limit is not None and limit > MAX_REQUESTS_PER_SECOND:
            yield Mistake(
                path=f"{path}.{name}",
                value=str(limit),
                expected=f"expected at most {MAX_REQUESTS_PER_SECOND}, the most that the front door takes",
            )


@rule
def _token_is_safe(client: ClientSettings, path: str) -> Iterator[Mistake]:
    jwt = client.jwt
    if jwt is None:
        return
    try:
        url = urlsplit(jwt.jwks_uri)
        host, port = url.hostname or "", url.port
    except ValueError:
        url, host, port = urlsplit(""), "", None
    if url.scheme not in ("http", "https") or not host or url.username is not None or port == 0:
        expected = "expected a URL with https and a host, as in 'https://login.example.org/keys'"
        yield Mistake(path=f"{path}.jwksUri", expected=expected)
    elif url.scheme == "http" and not is_loopback(host):
        yield Mistake(
            path=f"{path}.jwksUri",
            value=repr(jwt.jwks_uri),
            expected="expected https: whoever is between here and there could put keys of their own in its place",
        )
    if jwt.ca_file is not None:
        yield from _holds_certificates(jwt.ca_file, f"{path}.caFile")


@rule
def _certificate_can_be_shown(settings: Settings, client: ClientSettings, path: str) -> Iterator[Mistake]:
    certificate = client.certificate
    if certificate is None:
        return
    if settings.tls is None:
        yield Mistake(path=path, expected="needs tls: without it no client can show a certificate")
    yield from _holds_certificates(certificate.ca_file, f"{path}.caFile")
    try:
        x509.Name.from_rfc4514_string(certificate.subject)
    except ValueError:
        yield Mistake(
            path=f"{path}.subject",
            value=repr(certificate.subject),
            expected="expected a subject as RFC 4514 writes it, as in 'CN=edge,O=Example' (openssl x509 -noout "
            "-subject -nameopt RFC2253)",
        )
    first = next(client.certificate for client in settings.clients if client.certificate is not None)
    if Path(certificate.ca_file).resolve() != Path(first.ca_file).resolve():
        yield Mistake(
            path=f"{path}.caFile",
            value=repr(certificate.ca_file.written),
            expected=f"expected {first.ca_file.written!r}, as the other clients have: of several files each could "
            "vouch for the subject of another's client; put the certificates into one file",
        )


@rule
def _holds_certificates(file: ProjectPath, path: str) -> Iterator[Mistake]:
    where = Path(file).resolve()
    try:
        x509.load_pem_x509_certificates(where.read_bytes())
    except FileNotFoundError:
        yield Mistake(path=path, value=repr(file.written), expected=f"expected a PEM file at {where}")
    except (OSError, ValueError):
        yield Mistake(path=path, value=repr(file.written), expected="expected a file with certificates in PEM")


@rule
def _subjects_are_own(clients: Sequence[ClientSettings]) -> Iterator[Mistake]:
    """Yield clients that the front door could not tell from one before them."""
    seen: dict[str, int] = {}
    for index, client in enumerate(clients):
        if client.certificate is None or client.has_keys or client.jwt is not None:
            continue
        first = seen.setdefault(client.certificate.subject, index)
        if first != index:
            yield Mistake(
                path=f"clients[{index}].certificate.subject",
                expected=f"has the same subject as clients[{first}]; expected others, or one client",
            )


@rule
def _tokens_reach_each(clients: Sequence[ClientSettings]) -> Iterator[Mistake]:
    """Yield clients that get no token: the front door gives each token to the first client whose claims it has."""
    of_issuer: dict[tuple[str, str], list[tuple[int, JwtSettings]]] = {}
    for index, client in enumerate(clients):
        jwt = client.jwt
        if jwt is None:
            continue
        path = f"clients[{index}].jwt"
        before = of_issuer.setdefault((jwt.issuer, jwt.audience), [])
        if before:
            yield from _keys_are_at_one_place(jwt, path, *before[0])
        for other, earlier in before:
            if earlier.claims == jwt.claims:
                yield Mistake(
                    path=path, expected=f"has the same tokens as clients[{other}]; expected others, or one client"
                )
            elif earlier.claims.items() <= jwt.claims.items():
                yield Mistake(
                    path=path,
                    expected=f"gets no token: clients[{other}] stands before it and takes every token with these "
                    f"claims; put {client.name!r} before {clients[other].name!r}",
                )
            else:
                continue
            break
        before.append((index, jwt))


@rule
def _keys_are_at_one_place(jwt: JwtSettings, path: str, other: int, first: JwtSettings) -> Iterator[Mistake]:
    """Yield where a client has an issuer's keys from elsewhere than the first client of this issuer."""
    ours, theirs = (Path(file).resolve() if file else None for file in (jwt.ca_file, first.ca_file))
    for name, differs in (("jwksUri", jwt.jwks_uri != first.jwks_uri), ("caFile", ours != theirs)):
        if differs:
            expected = f"differs from clients[{other}].jwt.{name}; expected the same for one issuer and audience"
            yield Mistake(path=f"{path}.{name}", expected=expected)
