"""Keep the keys that the embedded engine derives from a test's passphrase and salt.

A key takes a million rounds of PBKDF2, 0.25 s of a processor, and tests run hundreds of commands on stacks of one salt.
The key depends on passphrase and salt alone, so a command that finds it kept does the same as one that derives it.

Python imports this module at its start where `tests/engine_path.py` put this folder on PYTHONPATH.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path


def _keep_keys(folder: Path) -> None:
    import hashlib

    derive = hashlib.pbkdf2_hmac

    def kept(hash_name: str, password: bytes, salt: bytes, iterations: int) -> bytes:
        asked = repr((hash_name, password, salt, iterations)).encode()
        path = folder / hashlib.sha256(asked).hexdigest()
        with suppress(FileNotFoundError):
            return path.read_bytes()
        key = derive(hash_name, password, salt, iterations)
        with suppress(OSError):  # a test may allow no files, and a folder goes when the tests end
            partial = path.with_suffix(f".{os.getpid()}")
            partial.write_bytes(key)
            partial.rename(path)
        return key

    hashlib.pbkdf2_hmac = kept  # type: ignore[assignment]


if "KEPT_KEYS" in os.environ and sys.orig_argv[1:3] == ["-m", "engine"]:
    _keep_keys(Path(os.environ["KEPT_KEYS"]))
