"""ProcessDeployment: the service as supervised processes of this machine."""

from pathlib import Path
from typing import Any

import pulumi

from components.environment_image import given_locks
from components.machine_deployment import MachineDeployment, MachineDeploymentArgs
from components.summaries import EnvironmentSummary
from environment.curated_clone import declared_environment
from environment.source_digest import digest_of
from provider.program_folder import SOURCES
from provider.resources.environment_venv import EnvironmentVenv
from settings.requirements_file import pip_packages
from settings.schema import Framework
from settings.variable_names import served_variables

__all__ = ["ProcessDeployment"]

# What becomes part of an environment besides packages: a change here is a change of the environment.
_SOURCES = ("serving", "targets/process/backends")


class ProcessDeployment(MachineDeployment):
    """Triton and the entry script server, rolled out behind a probe and kept running by a supervisor.

    The environment is a venv on this machine, resolved and locked, named by its digest.
    """

    def parts(self, name: str, args: MachineDeploymentArgs) -> dict[str, Any]:
        settings = self.settings
        asked, packages = settings.environment, pip_packages(settings.environment)
        declared = declared_environment(asked.name, asked.clone, packages).with_variables(served_variables(settings))
        frameworks = pulumi.Output.all(*(bundle.framework for bundle in args.bundles))
        venv = EnvironmentVenv(
            f"{name}-environment",
            {
                "name": asked.name,
                "clone": asked.clone or "",
                "pip_packages": packages,
                "triton": frameworks.apply(lambda served: Framework.MULTI.value in served),
                "gpu": settings.deployment.has_gpu,
                "root": str((Path(settings.state_directory) / "environments").resolve()),
                "curated": declared.curated.model_dump(mode="json"),
                "given_locks": given_locks(settings),
                "sources": {source: digest_of(SOURCES / source) for source in _SOURCES},
            },
            pulumi.ResourceOptions(parent=self),
        )
        self.environment = venv.digest.apply(lambda digest: EnvironmentSummary(name=asked.name, digest=digest))
        self.lock_files = venv.lock_files
        return {
            "environment_path": venv.path,
            "environment_digest": venv.digest,
            "variables": dict(declared.variables),
        }
