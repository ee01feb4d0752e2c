"""What a command works with: the project, its backend, and the secrets of its stacks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.errors import EngineError, StackNotFound, StateDamaged
from engine.state.backend import Backend, Stack
from engine.state.checkpoint import (
    Decrypter,
    State,
    encode_resource,
    features_of,
    read_deployment,
    write_checkpoint,
    write_deployment,
)
from engine.state.crypto import Crypter
from engine.state.project import Project
from engine.state.stack_file import StackFile, open_crypter


class Session:
    """The project that the folder `start` is in."""

    def __init__(self, start: Path, environment: Mapping[str, str] = os.environ) -> None:
        self.environment = environment
        self.project = Project.find(start.absolute(), environment)
        self.backend = Backend.open(self.project.backend_url, self.project.root)
        self._crypters: dict[str, Crypter] = {}

    def stack(self, name: str | None = None, *, to_read: bool = False) -> Stack:
        """Return the stack of that name, or the selected one; another project's is for reading alone.

        Raises:
            EngineError: There is none.
        """
        name = name or self.environment.get("PULUMI_STACK") or self.project.selected_stack(self.environment)
        if name is None:
            raise EngineError("no stack selected; please use `stack select` or `stack init` to choose one")
        stack = self.backend.stack(self.project.name, name) if to_read else self.place(name)
        if not stack.exists():
            raise StackNotFound(f"no stack named '{stack.name}' found")
        return stack

    def place(self, name: str) -> Stack:
        """Return the place of one of the project's stacks.

        Raises:
            EngineError: The stack is another project's.
        """
        stack = self.backend.stack(self.project.name, name)
        if stack.project != self.project.name:
            raise EngineError(
                f'provided project name "{stack.project}" doesn\'t match Pulumi.yaml, whose project is '
                f"\"{self.project.name}\": run this in the folder of '{stack.project}'"
            )
        return stack

    def settings(self, stack: Stack) -> StackFile:
        """Return the stack's settings file, which need not exist yet."""
        return StackFile(self.project.stack_file(stack.name), self.project.name, self.project.config)

    def crypter(self, stack: Stack, settings: StackFile) -> Crypter:
        """Return the crypter that encrypts the stack's secrets from now on.

        Raises:
            EngineError: The passphrase is wrong.
        """
        deployment = stack.read()["deployment"] or {}
        salt = ((deployment.get("secrets_providers") or {}).get("state") or {}).get("salt", "")
        return self.new_crypter(settings, salt)

    def new_crypter(self, settings: StackFile, salt: str = "") -> Crypter:
        """Return the crypter for a salt, the settings file's unless another is given.

        Raises:
            EngineError: The passphrase is wrong.
        """
        crypter = open_crypter(settings, self.project.passphrase(self.environment), salt)
        crypter.verify()
        self._crypters[crypter.state] = crypter
        return crypter

    def state(self, stack: Stack, decrypter: Decrypter | None = None) -> State:
        """Return the stack's state, its secrets opened by the `decrypter` or the session's own."""
        document = stack.read()
        try:
            return read_deployment(
                document["version"], document["deployment"], decrypter or self.decrypter, document["features"]
            )
        except StateDamaged as error:
            raise StateDamaged(f"{error} {stack.way_back}") from None

    def decrypter(self, salt: str) -> Callable[[str], str]:
        """Return what decrypts by a salt; it asks for the passphrase, and makes the key, at the first secret."""

        def decrypt(ciphertext: str) -> str:
            if salt not in self._crypters:
                self._crypters[salt] = Crypter(self.project.passphrase(self.environment), salt or None)
            return self._crypters[salt].decrypt(ciphertext)

        return decrypt

    def import_deployment(
        self, stack: Stack, version: int, deployment: dict[str, Any], features: list[str], *, force: bool
    ) -> None:
        """Replace the stack's state.

        Raises:
            EngineError: The deployment is damaged or another stack's.
        """
        settings = self.settings(stack)
        state = read_deployment(version, deployment, self.decrypter, features)
        prefix = f"urn:pulumi:{stack.name}::{stack.project}::"
        stranger = next((item.urn for item in state.resources if not item.urn.startswith(prefix)), None)
        if stranger is not None and not force:
            raise EngineError(f"resource '{stranger}' is not of the stack '{stack.name}'; use --force to import it")
        try:
            crypter = self.crypter(stack, settings)
        except StateDamaged:
            crypter = self.new_crypter(settings, state.secrets_state)
        resources = [json.dumps(encode_resource(item, crypter.encrypt)) for item in state.resources]
        stack.back_up()
        written = write_deployment(resources, (), crypter.state)
        stack.write(write_checkpoint(stack.full_name, written, features_of(state.resources)))
