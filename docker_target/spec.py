"""What a service is made of on the `docker` target: the input of a rollout and of the front door."""

from machine import spec

__all__ = ["FrontDoorSpec", "ServiceSpec"]


class ServiceSpec(spec.ServiceSpec):
    """A service to run from one image, named by digest or id, in the Docker network `network`.

    `bundles` are the ids (`name:version`) that the image must hold, `repositories` Triton's model repositories in it
    (none: no Triton), `scorer` says whether it runs an entry script. Memory is in MiB.
    """

    restarts_nothing = spec.ServiceSpec.restarts_nothing | {"state_directory"}

    network: str
    image: str
    bundles: tuple[str, ...]
    repositories: tuple[str, ...] = ()
    scorer: bool = False
    memory_mb: int = 4096
    shared_memory_mb: int | None = None
    scorer_share: float = 0.25

    @property
    def triton(self) -> bool:
        """Whether Triton is part of the service."""
        return bool(self.repositories)

    @property
    def shape(self) -> tuple[str, ...]:
        """Who serves: `triton`, `scorer` or both."""
        return ("triton",) * self.triton + ("scorer",) * self.scorer


class FrontDoorSpec(spec.FrontDoorSpec):
    """The front door of a service; `shape` lists who is behind it: `triton`, `scorer` or both."""

    owner: str
    network: str
    image: str
    shape: tuple[str, ...]
