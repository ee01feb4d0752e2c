"""The providers of an operation: which resource's calls go to which process, and the resources that stand for them."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Protocol

from engine.errors import EngineError
from engine.providers.plugins import PluginMissing, Plugins
from engine.providers.provider import Provider, ReadResult
from engine.state.checkpoint import PROVIDER_PREFIX, Resource, urn_type
from engine.state.diff import Diff, compare
from engine.state.values import UNKNOWN_TEXT, Properties, bare

Find = Callable[[str], "Resource | None"]
"""From a reference, `<urn>::<id>`, to the provider in the state."""


class Operations(Protocol):
    """What can be done to a resource."""

    def check(self, urn: str, old: Properties, new: Properties) -> Properties:
        """Return the inputs as they are to be, defaults filled in."""

    def diff(self, old: Resource, new: Properties, ignore_changes: tuple[str, ...] = ()) -> Diff:
        """Tell what the new inputs would change."""

    def create(self, urn: str, inputs: Properties, *, preview: bool, deadline: float = 0) -> tuple[str, Properties]:
        """Create the object. Return its id and outputs."""

    def update(
        self, old: Resource, inputs: Properties, *, preview: bool, new: Resource, deadline: float = 0
    ) -> Properties:
        """Update the object. Return its outputs."""

    def read(self, urn: str, id_: str, inputs: Properties, outputs: Properties, deadline: float = 0) -> ReadResult:
        """Read the object that is there under the id."""

    def delete(self, resource: Resource, deadline: float = 0) -> None:
        """Delete the object."""


class Absent:
    """Stands, in a preview, for a provider whose plugin is not installed: takes inputs as they are."""

    def check(self, urn: str, old: Properties, new: Properties) -> Properties:
        """Take the inputs as they are."""
        return new

    def diff(self, old: Resource, new: Properties, ignore_changes: tuple[str, ...] = ()) -> Diff:
        """Compare the inputs."""
        return compare(old.inputs, new)

    def create(self, urn: str, inputs: Properties, *, preview: bool, deadline: float = 0) -> tuple[str, Properties]:
        """Return the inputs: a preview creates nothing."""
        return "", inputs

    def update(
        self, old: Resource, inputs: Properties, *, preview: bool, new: Resource, deadline: float = 0
    ) -> Properties:
        """Return the inputs: a preview updates nothing."""
        return inputs

    def read(self, urn: str, id_: str, inputs: Properties, outputs: Properties, deadline: float = 0) -> ReadResult:
        """Return the outputs that are known."""
        return ReadResult(id_, outputs, None)

    def delete(self, resource: Resource, deadline: float = 0) -> None:
        """Do nothing: a preview deletes nothing."""


class Registry:
    """Starts providers on need, and carries out the operations on the resources that stand for providers.

    With `optional`, a plugin that is not installed is stood in for, and `on_missing` told.
    """

    def __init__(
        self, plugins: Plugins, builtin: Operations, *, optional: bool, on_missing: Callable[[str], None]
    ) -> None:
        self._plugins = plugins
        self._optional = optional
        self._on_missing = on_missing
        self._lock = threading.Lock()
        self._unconfigured: dict[str, Provider] = {}
        self._configured: dict[str, Operations] = {}
        self._builtin = builtin
        self._missing: set[str] = set()

    def prestart(self, resource: Resource) -> None:
        """Start the process of a provider that will be needed, ahead of that need, unless it may be missing."""
        with self._lock:
            if self._plugins.is_own(resource.package) and resource.urn not in self._unconfigured:
                provider = self._start(resource.urn, resource.inputs)
                if provider is not None:
                    self._unconfigured[resource.urn] = provider

    def _start(self, urn: str, inputs: Properties, *, anew: bool = False) -> Provider | None:
        package = urn_type(urn)[len(PROVIDER_PREFIX) :]
        if package == "pulumi":
            return None
        try:
            version = str(bare(inputs.get("version")) or "")
            return self._plugins.start(package, version) if anew else self._plugins.take(package, version, urn)
        except PluginMissing as error:
            if not self._optional:
                raise
            if package not in self._missing:
                self._missing.add(package)
                self._on_missing(str(error))
            return None

    def get(self, reference: str, find: Find) -> Operations:
        """Return the provider under `<urn>::<id>`; it starts one that the operation has not registered."""
        with self._lock:
            if reference in self._configured:
                return self._configured[reference]
        resource = find(reference)
        if resource is None:
            raise EngineError(f"The provider '{reference}' is not in the state.")
        self.configure(resource)
        return self._configured[reference]

    def configure(self, resource: Resource) -> None:
        """Make the provider that the resource stands for ready for calls."""
        reference = f"{resource.urn}::{resource.id}"
        with self._lock:
            if reference in self._configured:
                return
            provider = self._unconfigured.pop(resource.urn, None) or self._start(resource.urn, resource.inputs)
            if provider is not None and not provider.serves(resource.urn, resource.id, resource.inputs):
                provider = self._start(resource.urn, resource.inputs, anew=True)
            operations: Operations
            if provider is not None:
                operations = provider
            else:
                operations = self._builtin if resource.package == "pulumi" else Absent()
            self._configured[reference] = operations
        if provider is not None:
            provider.configure(resource.urn, resource.id, resource.inputs)

    def cancel(self) -> None:
        """Ask every running provider to end in order what it has begun."""
        for provider in self._providers():
            provider.cancel()

    def release(self) -> None:
        """Leave the providers' processes to the next operation."""
        for provider in self._providers():
            if provider.is_sound:
                self._plugins.keep(provider)

    def _providers(self) -> list[Provider]:
        with self._lock:
            known = [*self._unconfigured.values(), *self._configured.values()]
        return [provider for provider in known if isinstance(provider, Provider)]

    def diff_with(self, reference: str, old: Resource, new: Properties, find: Find) -> Diff:
        """Tell what changes when the provider under `reference` takes the place of the provider `old`."""
        provider = self.get(reference, find)
        return provider.diff_config(old, new) if isinstance(provider, Provider) else compare(old.inputs, new)

    # The operations on the resources that stand for providers.

    def check(self, urn: str, old: Properties, new: Properties) -> Properties:
        """Have the provider check its own inputs."""
        with self._lock:
            provider = self._unconfigured.get(urn) or self._start(urn, new)
            if provider is None:
                return new
            self._unconfigured[urn] = provider
        return provider.check_config(urn, old, new)

    def diff(self, old: Resource, new: Properties, ignore_changes: tuple[str, ...] = ()) -> Diff:
        """Have the provider tell what its own new inputs would change."""
        with self._lock:
            provider = self._unconfigured.get(old.urn)
        return compare(old.inputs, new) if provider is None else provider.diff_config(old, new)

    def create(self, urn: str, inputs: Properties, *, preview: bool, deadline: float = 0) -> tuple[str, Properties]:
        """Configure the provider. Return a new id, and its outputs."""
        id_ = UNKNOWN_TEXT if preview else str(uuid.uuid4())
        self.configure(Resource(urn, urn_type(urn), custom=True, id=id_, inputs=inputs))
        return id_, _public(inputs)

    def update(
        self, old: Resource, inputs: Properties, *, preview: bool, new: Resource, deadline: float = 0
    ) -> Properties:
        """Configure the provider by its new inputs. Return its outputs."""
        self.configure(Resource(new.urn, new.type, custom=True, id=old.id, inputs=inputs))
        return _public(inputs)

    def read(self, urn: str, id_: str, inputs: Properties, outputs: Properties, deadline: float = 0) -> ReadResult:
        """Return the outputs that are known."""
        return ReadResult(id_, outputs, None)

    def delete(self, resource: Resource, deadline: float = 0) -> None:
        """Do nothing: the process ends with the operation."""


def _public(inputs: Properties) -> Properties:
    return {key: value for key, value in inputs.items() if key != "__internal"}
