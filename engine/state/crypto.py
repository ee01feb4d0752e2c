"""Pulumi's passphrase secrets provider.

A state `v1:<salt>:v1:<nonce>:<ciphertext>` holds the salt, and the word `pulumi` encrypted, by which a passphrase is
known to be right. PBKDF2-SHA256 with 1,000,000 rounds makes the key; values are AES-256-GCM (pkg/secrets/passphrase in
Pulumi's repository).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import threading
from typing import TYPE_CHECKING

from engine.errors import EngineError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_ROUNDS = 1_000_000
_CHECK = "pulumi"


class Crypter:
    """Encrypts and decrypts the secrets of one stack. The key is derived in the background (0.2 s).

    Raises EngineError from `verify` and `decrypt` when the passphrase is wrong or the state is malformed.
    """

    def __init__(self, passphrase: str, state: str | None = None) -> None:
        self._passphrase = passphrase
        self._state = state
        self._salt = os.urandom(8) if state is None else _salt(state)
        self._key = b""
        self._deriving = threading.Thread(target=self._derive, daemon=True)
        self._deriving.start()

    def _derive(self) -> None:
        self._key = hashlib.pbkdf2_hmac("sha256", self._passphrase.encode(), self._salt, _ROUNDS)

    def _gcm(self) -> AESGCM:
        self._deriving.join()
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._key)

    @property
    def state(self) -> str:
        """What to store as `encryptionsalt`."""
        if self._state is None:
            self._state = f"v1:{_text(self._salt)}:{self.encrypt(_CHECK)}"
        return self._state

    def verify(self) -> None:
        """Check the passphrase.

        Raises:
            EngineError: It does not belong to the state.
        """
        if self.decrypt(self.state.split(":", 2)[2]) != _CHECK:
            raise EngineError("The stack's encryptionsalt is not one that Pulumi wrote.")

    def encrypt(self, plaintext: str) -> str:
        """Return the text encrypted."""
        nonce = os.urandom(12)
        return f"v1:{_text(nonce)}:{_text(self._gcm().encrypt(nonce, plaintext.encode(), None))}"

    def decrypt(self, ciphertext: str) -> str:
        """Return the text of a ciphertext.

        Raises:
            EngineError: The passphrase is another one, or the ciphertext is damaged.
        """
        from cryptography.exceptions import InvalidTag

        try:
            version, nonce, data = ciphertext.split(":")
            if version != "v1":
                raise ValueError(version)
            return self._gcm().decrypt(base64.b64decode(nonce), base64.b64decode(data), None).decode()
        except InvalidTag:
            raise EngineError(
                "incorrect passphrase: it does not open this stack's secrets. Set PULUMI_CONFIG_PASSPHRASE or "
                "PULUMI_CONFIG_PASSPHRASE_FILE to the one the stack was made with."
            ) from None
        except (ValueError, binascii.Error) as error:
            raise EngineError("A secret of this stack is damaged: expected 'v1:<nonce>:<ciphertext>'.") from error


def _salt(state: str) -> bytes:
    parts = state.split(":", 2)
    try:
        if len(parts) != 3 or parts[0] != "v1":
            raise ValueError(state)
        return base64.b64decode(parts[1], validate=True)
    except (ValueError, binascii.Error):
        raise EngineError("The stack's encryptionsalt is damaged: expected 'v1:<salt>:<check>'.") from None


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
