"""The curated environments, read from `curated.yaml`."""

from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

__all__ = ["Curated", "Image", "Wheel", "WheelPackages", "read_curated"]

CURATED = Path(__file__).with_name("curated.yaml")


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Image(_Data):
    """A release of NVIDIA's Triton image, from which environments in containers start."""

    repository: str
    release: str
    triton_server: str
    python: str

    @property
    def reference(self) -> str:
        """Return the image's name and tag, such as `nvcr.io/nvidia/tritonserver:24.12-py3`."""
        return f"{self.repository}:{self.release}-py3"


class WheelPackages(_Data):
    """The pip packages that the Python-based backends import, without and with a GPU."""

    cpu: tuple[str, ...]
    gpu: tuple[str, ...]


class Wheel(_Data):
    """Triton's server as a PyPI wheel, for machines without containers, and the machines that can run it."""

    requirement: str
    hash: str
    triton_server: str
    release: str
    pythons: tuple[str, ...]
    carries_library_of: tuple[str, ...]
    compiles_on: tuple[str, ...]
    glibc: str
    packages: WheelPackages


class Curated(_Data):
    """A curated environment: an image, pinned pip packages, those that traces need, and variables."""

    name: str
    image: Image
    packages: tuple[str, ...]
    traces: tuple[str, ...]
    variables: dict[str, str]
    wheel: Wheel


@cache
def read_curated() -> dict[str, Curated]:
    """Read every curated environment, by name."""
    data: dict[str, dict[str, object]] = yaml.safe_load(CURATED.read_text(encoding="utf-8"))
    return {name: Curated.model_validate({"name": name, **fields}) for name, fields in data.items()}
