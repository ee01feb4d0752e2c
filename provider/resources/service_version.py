"""A version of the service in its registry."""

import hashlib
import tempfile
from pathlib import Path

import pulumi

from bundle.registry import RegistryError
from bundle.service_versions import Facts, ServiceVersions
from common.errors import UserError
from common.part import Part
from environment.source_archive import pack
from provider.declaration import Declaration
from provider.deployer import branch_of, commit_of, deployer
from provider.resource_type import ResourceType, Say
from settings.service_version import CONTENT, LOCKS, SOURCE, VersionContent, read_content
from settings.version_differences import last_deployed

__all__ = ["ServiceVersion", "ServiceVersionType"]


class OtherContentError(UserError):
    """A program names a version of its service, and declares other things than that version has."""


class Inputs(Part):
    """What was deployed and has passed its checks.

    Attributes:
        content: What the version decides; its locks are those of `lock_files`.
        environment: The digest of the environment that was built.
        source: The script's folder, "" without a script.
        passed: What it passed before traffic.
        passed_first: What it passed where it was the service's first: nothing served then to compare it with.
        checks: How many things the smoke check asked.
        kept: How many versions stay in the registry.
        behind: Whether another version serves than this one, which has a share of the traffic or none.
        version: The number of the version that this is by declaration; None where the content tells.
    """

    registry: str
    project: str
    stack: str
    service: str
    content: VersionContent
    environment: str
    source: str
    lock_files: list[str]
    passed: list[str]
    passed_first: list[str]
    checks: int
    kept: int
    behind: bool = False
    version: int | None = None

    @property
    def versions(self) -> ServiceVersions:
        """The versions of the service."""
        return ServiceVersions(self.registry, project=self.project, stack=self.stack, service=self.service)


class Outputs(Part):
    """The number of the version that serves, and the digest of its content; none where none of it was kept."""

    number: int | None = None
    digest: str = ""


class ServiceVersionType(ResourceType[Inputs, Outputs]):
    """A version of the service: the same content, the same version; changed content, the next one.

    What has a share of the traffic becomes a version when it has all of it: until then the one beside it stays.
    Versions are kept when the resource is deleted: who deploys the service again can go back to them.
    """

    inputs, outputs = Inputs, Outputs
    # How the same content came to serve, and from which folders it was read.
    ignored = frozenset({"source", "lock_files", "passed", "passed_first", "checks"})

    def id(self, inputs: Inputs) -> str:
        return f"{inputs.project}/{inputs.stack}/{inputs.service}"

    def check(self, inputs: Inputs) -> None:
        if inputs.version is None:
            return
        versions, declared = inputs.versions, inputs.content
        version = versions.find(inputs.version)
        content = read_content(versions, version) if version else None
        parts = ("models", "script", "environment")
        if content is None or any(getattr(content, part) != getattr(declared, part) for part in parts):
            has = f"has {', '.join(map(str, content.models))}" if content else "does not exist"
            raise OtherContentError(
                f"deployment.version is {inputs.version}, which {has}, and this program declares "
                f"{', '.join(map(str, declared.models))}, a script and an environment of its own: expected "
                "deployment.version in a stack's file alone; leave it out, and name the models' versions"
            )

    def create(self, inputs: Inputs, say: Say) -> Outputs:
        if inputs.behind:  # of a stack that kept no version until now
            serves = last_deployed(inputs.versions)
            return Outputs(number=serves.number, digest=serves.digest) if serves else Outputs()
        return self._kept(inputs, inputs.passed_first, say)

    def update(self, old: Inputs, known: Outputs, new: Inputs, say: Say) -> Outputs:
        if new.behind:
            stays = "what serves" if known.number is None else f"version {known.number}"
            say(f"{stays} goes on serving: the new one becomes a version when it has all of the traffic")
            return known
        return self._kept(new, new.passed, say)

    def drifted(self, inputs: Inputs, known: Outputs) -> frozenset[str]:
        if inputs.behind or known.number is None or "://" in inputs.registry:  # it is asked when somebody goes back
            return frozenset()
        try:
            there = inputs.versions.find(known.number) is not None
        except RegistryError:
            there = False
        return frozenset() if there else frozenset({"number"})

    def _kept(self, inputs: Inputs, passed: list[str], say: Say) -> Outputs:
        try:
            return self._keep(inputs, passed, say)
        except RegistryError as error:
            raise RegistryError(
                f"the service serves, and its version cannot be kept: {error}; or set deployment.versionsKept to 0"
            ) from None

    def _keep(self, inputs: Inputs, passed: list[str], say: Say) -> Outputs:
        versions = inputs.versions
        version = versions.find(inputs.version) if inputs.version else None
        if version is not None:
            versions.mark_deployed(version)
            say(f"version {version.number} of the service is deployed again")
        else:
            project = Path.cwd()
            facts = Facts(
                by=deployer(),
                commit=commit_of(project),
                branch=branch_of(project),
                passed=", ".join([*passed, f"smoke check ({inputs.checks})"]),
            )
            with tempfile.TemporaryDirectory() as scratch:
                version = versions.keep(_files(inputs, Path(scratch), say), facts)
            say(f"this is version {version.number} of the service")
        if pruned := versions.prune(inputs.kept, version.number):
            say(f"the registry keeps {inputs.kept} versions: {', '.join(map(str, pruned))} went")
        return Outputs(number=version.number, digest=version.digest)


def _files(inputs: Inputs, scratch: Path, say: Say) -> dict[str, bytes | Path]:
    files: dict[str, bytes | Path] = {}
    if inputs.source:
        pack(Path(inputs.source), scratch / SOURCE)
        files[SOURCE] = scratch / SOURCE
    locks = {}
    for file in map(Path, inputs.lock_files):
        try:
            lock = file.read_bytes()
        except OSError as error:
            say(f"the version has no lock of its packages: {error}")
            continue
        locks[file.name] = hashlib.sha256(lock).hexdigest()
        files[f"{LOCKS}/{file.name}"] = lock
    return {**files, CONTENT: inputs.content.model_copy(update={"locks": locks}).to_bytes()}


class ServiceVersion(Declaration):
    """A kept version of the service."""

    Inputs, Outputs = Inputs, Outputs
    number: pulumi.Output[int | None]
    digest: pulumi.Output[str]
