"""An issuer of JSON Web Tokens for tests: it publishes its keys, rotates them, and hangs where it is told to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

URL = "https://login.example.org"
AUDIENCE = "triton"


def _packed(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _packed(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Issuer:
    """An HTTP server whose `/keys` are a JWKS; `fetches` counts who asked."""

    def __init__(self, certified: Path | None = None, host: str = "127.0.0.1") -> None:
        self.fetches = 0
        self.answers = threading.Event()
        self.answers.set()
        self._made = 0
        self._keys: dict[str, rsa.RSAPrivateKey] = {}
        self.rotate()
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetches += 1
                issuer.answers.wait(30)
                body = json.dumps(issuer.jwks()).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer((host, 0), Handler)
        self.jwks_uri = f"http://127.0.0.1:{self._server.server_address[1]}/keys"
        if certified is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certified)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            name = "localhost" if host == "127.0.0.1" else host
            self.jwks_uri = f"https://{name}:{self._server.server_address[1]}/keys"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def rotate(self) -> None:
        """Make a new key, and forget those of before."""
        self._made += 1
        self._keys = {f"key-{self._made}": rsa.generate_private_key(65537, 2048)}

    def jwks(self) -> dict[str, Any]:
        """The public keys, as the issuer publishes them."""
        keys = []
        for name, key in self._keys.items():
            numbers = key.public_key().public_numbers()
            known = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": name}
            keys.append({**known, "n": _number(numbers.n), "e": _number(numbers.e)})
        return {"keys": keys}

    def token(self, *, head: dict[str, Any] | None = None, **claims: Any) -> str:
        """A valid token, but for the claims that are given; None leaves one out."""
        ((kid, key),) = self._keys.items()
        text = self._text({"alg": "RS256", "kid": kid} | (head or {}), claims)
        return f"{text}.{_packed(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def unsigned(self, algorithm: str = "none", **claims: Any) -> str:
        """A token without a signature, of the algorithm `none` or of another spelling of it."""
        return self._text({"alg": algorithm}, claims) + "."

    def signed_with_the_public_key(self, encoding: serialization.Encoding, **claims: Any) -> str:
        """A token whose HS256 signature has the public key as its secret."""
        ((kid, key),) = self._keys.items()
        text = self._text({"alg": "HS256", "kid": kid}, claims)
        secret = key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
        return f"{text}.{_packed(hmac.digest(secret, text.encode(), hashlib.sha256))}"

    def close(self) -> None:
        self.answers.set()
        self._server.shutdown()
        self._server.server_close()

    @staticmethod
    def _text(head: dict[str, Any], claims: dict[str, Any]) -> str:
        usual = {"iss": URL, "aud": AUDIENCE, "sub": "batch-7", "exp": int(time.time()) + 600}
        wanted = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        return ".".join(_packed(json.dumps(part).encode()) for part in (head, wanted))


@contextmanager
def issuing(certified: Path | None = None, host: str = "127.0.0.1") -> Iterator[Issuer]:
    """An issuer that runs at an address of this machine, with TLS where it has a certificate and its key in a file."""
    issuer = Issuer(certified, host)
    try:
        yield issuer
    finally:
        issuer.close()
