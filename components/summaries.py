"""What a service serves, as its outputs tell people and other stacks."""

from typing_extensions import NotRequired, TypedDict

from bundle.manifest_models import ModelSummary

__all__ = ["BundleSummary", "EnvironmentSummary"]


class BundleSummary(TypedDict):
    """A bundle: its id `name:version`, its content's digest, and its models; one for the entry script has none."""

    modelId: str
    digest: str
    models: list[ModelSummary]


class EnvironmentSummary(TypedDict):
    """The environment that serves: its name, and the digest of what decides its content."""

    name: str
    digest: NotRequired[str]
