"""What a service is made of on the `docker` target: the input of a rollout and of the front door."""

from pathlib import Path

from settings.service_groups import RolloutPlan
from targets.machine import specification
from targets.role import Role

__all__ = ["FrontDoorSpec", "ServiceSpec"]


class ServiceSpec(specification.ServiceSpec):
    """A service to run from one image, named by digest or id, in the Docker network `network`.

    `bundles` are those that the image must hold (`name:version@sha256:...`), `repositories` Triton's model repositories
    in it (none: no Triton), `scorer` says whether it runs an entry script.
    """

    network: str
    image: str
    bundles: tuple[str, ...]
    repositories: tuple[str, ...] = ()
    scorer: bool = False
    shared_memory_mb: int | None = None
    scorer_share: float = 0.25

    @property
    def essence(self) -> "ServiceSpec":
        """This service without what may change while its containers go on as they are."""
        rollout = RolloutPlan(drain_seconds=self.rollout.drain_seconds)
        unimportant = {"owner": "", "overwrite": False, "rollout": rollout, "state_directory": Path()}
        return self.model_copy(update=unimportant)

    @property
    def triton(self) -> bool:
        """Whether Triton is part of the service."""
        return bool(self.repositories)

    @property
    def shape(self) -> tuple[Role, ...]:
        """Who serves: Triton, the scorer or both; and the recorder, which gets copies."""
        recorder = (Role.RECORDER,) if self.has_recorder else ()
        return (*Role.serving(triton=self.triton, scorer=self.scorer), *recorder)

    @property
    def has_recorder(self) -> bool:
        """Whether requests to Triton are recorded."""
        return self.triton and self.recorded_megabytes is not None


class FrontDoorSpec(specification.FrontDoorSpec):
    """The front door of a service: Envoy of `image`, in the Docker network `network`."""

    network: str
    image: str
