"""Resource providers: the processes that create, read, update and delete, and the gRPC calls to them."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2

from engine.errors import EngineError
from engine.providers.children import Child
from engine.providers.differences import told_diff
from engine.providers.failures import (
    PartialFailure,
    ProviderError,
    error_details,
    exception_message,
    raise_failures,
    wrong_inputs,
)
from engine.providers.proto import CHANNEL_OPTIONS, provider_pb2, provider_pb2_grpc
from engine.state.checkpoint import DYNAMIC_PACKAGE, Resource, urn_name, urn_type
from engine.state.diff import Diff, compare, keep_old
from engine.state.values import Properties, Unknown, from_struct, has, mark_secrets, plain, to_struct

DEADLINE = 3600.0
"""Seconds that a call may take, unless the resource's customTimeouts say otherwise."""

_START_DEADLINE = 60.0


@dataclass(frozen=True)
class ReadResult:
    """What a provider found; `id` is empty when the object is gone, `inputs` None when they stay as they are."""

    id: str
    outputs: Properties
    inputs: Properties | None


class Provider:
    """One provider process. Every method may raise ProviderError."""

    def __init__(self, package: str, version: str, child: Child, folder: Path, engine_address: str) -> None:
        self.package = package
        self.version = version
        self.urn = ""
        """The resource that the provider was configured for."""
        self._configuration: tuple[str, Properties] | None = None
        self._child = child
        self._folder = folder
        self._engine_address = engine_address
        self._accepts_secrets = False
        self._accepts_references = False
        self._accepts_outputs = False
        self._previews = False
        self._handshaken = False
        self._config_known = True
        self._hung = ""
        self._lock = threading.Lock()
        self._calls = 0
        self._cancelling: Any = None
        self._configured: Future[None] = Future()
        self._stub: Future[provider_pb2_grpc.ResourceProviderStub] = Future()
        threading.Thread(target=self._connect, daemon=True).start()

    def _connect(self) -> None:
        timer = threading.Timer(_START_DEADLINE, self._child.kill)
        timer.start()
        port = self._child.first_line()
        timer.cancel()
        if not port.isdigit():
            self._stub.set_exception(
                ProviderError(f"The provider '{self.package}' did not start; its output says why.")
            )
            return
        self._child.follow()
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS)
        self._stub.set_result(provider_pb2_grpc.ResourceProviderStub(channel))

    def _call(self, method: str, request: object, deadline: float = 0, sources: Properties | None = None) -> Any:
        """Call the provider. One that lets a deadline pass gets no further call, and is killed after its last one.

        `sources` tell which properties of an object that did not become ready are secret.
        """
        stub = self._stub.result()
        limit = deadline or DEADLINE
        with self._lock:
            if self._hung:
                raise ProviderError(f"The provider '{self.package}' hangs: {self._hung}. {method} was not begun.")
            self._calls += 1
        try:
            return getattr(stub, method)(request, timeout=limit)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                self._hung = f"{method} took longer than {limit:g} s"
                raise ProviderError(
                    f"{method} did not end within {limit:g} s, and was stopped; whether it took effect is not known.",
                    unknown_outcome=True,
                ) from None
            raise self._explain(method, error, sources or {}) from None
        finally:
            with self._lock:
                self._calls -= 1
                if self._hung and not self._calls:
                    self._child.kill()

    def _explain(self, method: str, error: grpc.RpcError, sources: Properties) -> ProviderError:
        for detail in error_details(error):
            failure = provider_pb2.ErrorResourceInitFailed()
            if detail.Unpack(failure):
                inputs = self._results(failure.inputs, sources) if failure.HasField("inputs") else None
                outputs = self._results(failure.properties, sources)
                return PartialFailure(list(failure.reasons), failure.id, outputs, inputs)
        if wrong := wrong_inputs(error):
            return wrong
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            return ProviderError(
                f"The provider '{self.package}' ended unexpectedly during {method}.", unknown_outcome=True
            )
        return ProviderError(exception_message(error.details() or str(error.code())))

    def _wire(self, properties: Properties, *, unknowns: bool = True) -> Any:
        return to_struct(
            properties, secrets=self._accepts_secrets, references=self._accepts_references, unknowns=unknowns
        )

    def _results(self, struct: Any, sources: Properties) -> Properties:
        results = from_struct(struct)
        return results if self._accepts_secrets else mark_secrets(results, sources)

    def cancel(self) -> None:
        """Ask the provider to end the calls under way in order, and do not wait for it."""
        if self._stub.done() and self._stub.exception() is None:
            self._cancelling = self._stub.result().Cancel.future(empty_pb2.Empty(), timeout=DEADLINE)

    def configure(self, urn: str, id_: str, inputs: Properties) -> None:
        """Hand the provider its configuration, once; with unknowns in it, the provider is not called at all."""
        if self.urn:
            return
        self.urn, self._configuration = urn, (id_, inputs)
        try:
            self._configure(urn, id_, _own(inputs))
        except EngineError as error:
            self._configured.set_exception(error)
            raise
        self._configured.set_result(None)

    def serves(self, urn: str, id_: str, inputs: Properties) -> bool:
        """Tell whether the provider may be configured so, or is already."""
        return not self.urn or (self.urn, self._configuration) == (urn, (id_, inputs))

    @property
    def is_sound(self) -> bool:
        """Whether another operation may use the process: it started, hangs nowhere and took its configuration."""
        if self._hung or not self._stub.done() or self._stub.exception() is not None:
            return False
        return not self.urn or (self._configured.done() and self._configured.exception() is None and self._config_known)

    def _configure(self, urn: str, id_: str, inputs: Properties) -> None:
        self._handshake()
        settings = {key: value for key, value in inputs.items() if key != "version"}
        if has(settings, Unknown):
            self._config_known = False
            return
        request = provider_pb2.ConfigureRequest(
            urn=urn,
            id=id_,
            name=urn_name(urn),
            type=urn_type(urn),
            args=to_struct(inputs),
            variables={f"{self.package}:config:{key}": _text(value) for key, value in settings.items()},
            acceptSecrets=True,
            acceptResources=True,
            sends_old_inputs=True,
            sends_old_inputs_to_delete=True,
        )
        response = self._call("Configure", request)
        if not self._handshaken:
            self._accepts_secrets = response.acceptSecrets
            self._accepts_references = response.acceptResources
            self._accepts_outputs = response.acceptOutputs
            self._previews = response.supportsPreview

    @property
    def _known(self) -> bool:
        """Whether the configuration has no unknowns. Waits for it."""
        self._configured.result()
        return self._config_known

    def _handshake(self) -> None:
        if self._handshaken or self.package == DYNAMIC_PACKAGE:
            return
        request = provider_pb2.ProviderHandshakeRequest(
            engine_address=self._engine_address,
            root_directory=str(self._folder),
            program_directory=str(self._folder),
            configure_with_urn=True,
        )
        try:
            response = self._stub.result().Handshake(request, timeout=_START_DEADLINE)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNIMPLEMENTED:
                raise self._explain("Handshake", error, {}) from None
            return
        self._handshaken = True
        self._accepts_secrets = response.accept_secrets
        self._accepts_references = response.accept_resources
        self._accepts_outputs = response.accept_outputs
        self._previews = True

    def check_config(self, urn: str, old: Properties, new: Properties) -> Properties:
        """Return the provider's own inputs as it wants them. `version` and `__internal` stay as they are."""
        self._handshake()
        request = provider_pb2.CheckRequest(
            urn=urn, name=urn_name(urn), type=urn_type(urn), olds=to_struct(_own(old)), news=to_struct(_own(new))
        )
        try:
            response = self._stub.result().CheckConfig(request, timeout=DEADLINE)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                return new
            raise self._explain("CheckConfig", error, {}) from None
        raise_failures(response.failures)
        kept = {key: new[key] for key in ("__internal", "version") if key in new}
        return mark_secrets(from_struct(response.inputs), new) | kept

    def diff_config(self, old: Resource, new: Properties) -> Diff:
        """Tell what new inputs of the provider's own would change; replacing it replaces its resources."""
        request = provider_pb2.DiffRequest(
            id=old.id,
            urn=old.urn,
            name=old.name,
            type=urn_type(old.urn),
            olds=to_struct(old.outputs),
            news=to_struct(_own(new)),
            old_inputs=to_struct(_own(old.inputs)),
        )
        try:
            response = self._stub.result().DiffConfig(request, timeout=DEADLINE)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNIMPLEMENTED:
                raise self._explain("DiffConfig", error, {}) from None
            response = provider_pb2.DiffResponse()
        return told_diff(response, compare(old.outputs, _own(new)))

    def check(self, urn: str, old: Properties, new: Properties) -> Properties:
        """Return the inputs as the provider wants them, its defaults filled in."""
        if not self._known:
            return new
        request = provider_pb2.CheckRequest(
            urn=urn,
            name=urn_name(urn),
            type=urn_type(urn),
            olds=self._wire(old),
            news=self._wire(new),
            randomSeed=os.urandom(32),
        )
        response = self._call("Check", request)
        raise_failures(response.failures)
        return self._results(response.inputs, new)

    def diff(self, old: Resource, new: Properties, ignore_changes: tuple[str, ...] = ()) -> Diff:
        """Tell what the new inputs would change; a provider that does not know leaves it to a comparison of inputs."""
        if not self._known:
            return Diff(changed=True)
        request = provider_pb2.DiffRequest(
            id=old.id,
            urn=old.urn,
            name=old.name,
            type=urn_type(old.urn),
            olds=self._wire(old.outputs),
            news=self._wire(new),
            old_inputs=self._wire(old.inputs),
            ignoreChanges=ignore_changes,
        )
        response = self._call("Diff", request)
        return told_diff(response, compare(old.inputs, keep_old(old.inputs, new, list(ignore_changes))))

    def create(self, urn: str, inputs: Properties, *, preview: bool, deadline: float = 0) -> tuple[str, Properties]:
        """Create the object.

        Returns:
            Its id and outputs; in a preview by a provider that has none, "" and the inputs.

        Raises:
            PartialFailure: The object exists but did not become ready.
        """
        if not self._known or (preview and not self._previews):
            return "", inputs if self._config_known else {}
        request = provider_pb2.CreateRequest(
            urn=urn,
            name=urn_name(urn),
            type=urn_type(urn),
            properties=self._wire(inputs, unknowns=preview),
            timeout=deadline,
            preview=preview,
        )
        response = self._call("Create", request, deadline, inputs)
        if not response.id and not preview:
            raise ProviderError("The provider gave the new object no id.", unknown_outcome=True)
        return response.id, self._results(response.properties, inputs)

    def update(
        self, old: Resource, inputs: Properties, *, preview: bool, new: Resource, deadline: float = 0
    ) -> Properties:
        """Update the object.

        Returns:
            Its outputs.

        Raises:
            PartialFailure: The object did not become ready.
        """
        if not self._known or (preview and not self._previews):
            return inputs if self._config_known else {}
        request = provider_pb2.UpdateRequest(
            id=old.id,
            urn=new.urn,
            name=new.name,
            type=urn_type(new.urn),
            olds=self._wire(old.outputs),
            news=self._wire(inputs, unknowns=preview),
            old_inputs=self._wire(old.inputs),
            timeout=deadline,
            ignoreChanges=new.ignore_changes,
            preview=preview,
        )
        return self._results(self._call("Update", request, deadline, inputs).properties, inputs)

    def read(self, urn: str, id_: str, inputs: Properties, outputs: Properties, deadline: float = 0) -> ReadResult:
        """Read the object that is there under the id now.

        Raises:
            PartialFailure: The object is not ready.
        """
        if not self._known:
            return ReadResult(id_, {}, None)
        request = provider_pb2.ReadRequest(
            id=id_,
            urn=urn,
            name=urn_name(urn),
            type=urn_type(urn),
            properties=self._wire(outputs),
            inputs=self._wire(inputs),
            timeout=deadline,
        )
        response = self._call("Read", request, deadline, inputs | outputs)
        found = self._results(response.inputs, inputs) if response.HasField("inputs") else None
        return ReadResult(response.id, self._results(response.properties, outputs), found)

    def delete(self, resource: Resource, deadline: float = 0) -> None:
        """Delete the object."""
        self._configured.result()
        request = provider_pb2.DeleteRequest(
            id=resource.id,
            urn=resource.urn,
            name=resource.name,
            type=urn_type(resource.urn),
            properties=self._wire(resource.outputs),
            old_inputs=self._wire(resource.inputs),
            timeout=deadline,
        )
        self._call("Delete", request, deadline)

    def construct(self, request: provider_pb2.ConstructRequest) -> provider_pb2.ConstructResponse | None:
        """Make a component, whose resources the plugin registers: these have deadlines, and this call has none.

        Returns:
            The component, None where the provider's configuration is not known yet.
        """
        if not self._known:
            return None
        if not self._accepts_secrets:
            raise ProviderError(f"The provider '{self.package}' takes no secrets; a plugin that makes components must.")
        if not self._accepts_outputs:
            request.inputs.CopyFrom(self._wire(from_struct(request.inputs)))
        try:
            made: provider_pb2.ConstructResponse = self._stub.result().Construct(request)
        except grpc.RpcError as error:
            raise self._explain("Construct", error, {}) from None
        return made


def _text(value: Any) -> str:
    """Return a setting as providers of the older protocol take it."""
    text = plain(value)
    return text if isinstance(text, str) else json.dumps(text, separators=(",", ":"))


def _own(inputs: Properties) -> Properties:
    return {key: value for key, value in inputs.items() if key != "__internal"}
