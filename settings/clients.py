"""Clients with a name of their own: `clients` in a stack's file, beside the service's own two keys."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, PositiveInt

from gateway.clients import Certificate, Client, Jwt
from settings.group import Group
from settings.project_path import ProjectPath

__all__ = ["CertificateSettings", "ClientSettings", "JwtSettings", "KeyRotation", "door_clients"]


def _client_name(value: str) -> str:
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", value):
        raise ValueError("up to 63 lower-case letters, digits and '-', starting with a letter and not ending with '-'")
    return value


class KeyRotation(Group):
    """Which edition of each key is in force: raise a number to have that key made anew."""

    primary: PositiveInt = Field(default=1, description="raise it for a new primary key")
    secondary: PositiveInt = Field(default=1, description="raise it for a new secondary key")


class JwtSettings(Group):
    """The tokens (JSON Web Tokens) of an issuer, which prove who a client is."""

    issuer: str = Field(min_length=1, description="the tokens' `iss`")
    audience: str = Field(min_length=1, description="one of the tokens' `aud`")
    jwks_uri: str = Field(min_length=1, description="where the issuer publishes its keys (JWKS), by https")
    claims: dict[str, str] = Field(
        default={}, description="claims that a token must have: as text, in a list, or as a word between blanks"
    )
    ca_file: ProjectPath | None = Field(
        default=None, description="PEM certificates that vouch for jwksUri's server; by default those of the machine"
    )


class CertificateSettings(Group):
    """The certificate that proves who a client is."""

    ca_file: ProjectPath = Field(description="PEM certificates that vouch for the client's, the same for all clients")
    subject: str = Field(min_length=1, description="its subject as RFC 4514 writes it, as in 'CN=edge,O=Example'")
    with_key: bool = Field(default=False, description="ask for a key of the client too")


class ClientSettings(Group):
    """A client: it has a primary and a secondary key, made as the service's own, unless it proves itself otherwise."""

    name: Annotated[str, AfterValidator(_client_name)] = Field(
        description="as scripts and Triton get it in x-client-name, and the output clientKeys"
    )
    models: list[str] | None = Field(
        default=None, description="Triton's models that it may ask and see; by default all, and /score"
    )
    score: bool = Field(default=False, description="with models: whether it may call /score, which may ask any model")
    requests_per_second: PositiveInt | None = Field(
        default=None, description="inference requests that the front door lets through; more get 429"
    )
    max_concurrent: PositiveInt | None = Field(
        default=None, description="inference requests at once, a stream being one; more get 429"
    )
    key_rotation: KeyRotation = Field(
        default=KeyRotation(), description="which edition of each of its keys is in force"
    )
    jwt: JwtSettings | None = Field(default=None, description="it sends tokens of an issuer instead of a key")
    certificate: CertificateSettings | None = Field(default=None, description="it shows a certificate instead of a key")

    @property
    def has_keys(self) -> bool:
        """Tell whether the client proves itself by keys, alone or beside a certificate."""
        return self.jwt is None and (self.certificate is None or self.certificate.with_key)


def door_clients(clients: Sequence[ClientSettings]) -> tuple[Client, ...]:
    """Give the clients as the front door takes them, with the content of their files.

    Args:
        clients: A stack's clients, which the rules have passed.
    """
    return tuple(
        Client(
            name=client.name,
            models=None if client.models is None else tuple(client.models),
            score=client.score,
            requests_per_second=client.requests_per_second,
            max_concurrent=client.max_concurrent,
            jwt=_jwt(client.jwt) if client.jwt else None,
            certificate=_certificate(client.certificate) if client.certificate else None,
        )
        for client in clients
    )


def _jwt(jwt: JwtSettings) -> Jwt:
    return Jwt(
        issuer=jwt.issuer,
        audience=jwt.audience,
        jwks_uri=jwt.jwks_uri,
        claims=jwt.claims,
        ca=Path(jwt.ca_file).read_text("utf-8") if jwt.ca_file else "",
    )


def _certificate(certificate: CertificateSettings) -> Certificate:
    ca = Path(certificate.ca_file).read_text("utf-8")
    return Certificate(ca=ca, subject=certificate.subject, with_key=certificate.with_key)
