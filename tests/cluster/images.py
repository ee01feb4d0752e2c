"""The images that the tests deploy: a stand-in of NVIDIA's, the environment's and services' on top, and Envoy's."""

import json
import shutil
from pathlib import Path
from typing import Any

import docker

from bundle.layout import check_layout
from bundle.registry import Registry
from environment.curated_clone import Environment
from environment.pip_settings import pip_variables
from gateway import envoy_command
from settings.golden import read_golden
from tests.provider.asking import create
from tests.traced import packages as traces_packages

REGISTRY = "localhost:5000"
PROJECT = Path(__file__).resolve().parents[2]
STANDIN = PROJECT / "tests" / "docker" / "standin" / "Dockerfile"


class Images:
    """Builds images on the Docker engine of DOCKER_HOST and pushes them to the registry, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engine = docker.from_env(timeout=300)
        self._environment = ""
        self._models = Registry(str(folder / "registry"))

    def base(self) -> str:
        """The stand-in of NVIDIA's Triton image."""
        context = self._folder / "standin"
        backend = PROJECT / "targets" / "process" / "backends" / "onnxruntime"
        shutil.copytree(backend, context / "onnxruntime", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(STANDIN, context)
        wheel = Environment.get("AzureML-Triton").curated.wheel
        arguments = {
            "DEBIAN": f"{REGISTRY}/debian:12",
            "WHEEL": wheel.requirement,
            "ONNXRUNTIME": " ".join(wheel.packages.cpu),
        }
        return self._build(context, f"{REGISTRY}/tests/tritonserver:standin", arguments)

    def envoy(self) -> str:
        """An image with `envoy` and `bash`."""
        context = self._folder / "envoy"
        context.mkdir()
        shutil.copy(envoy_command.binary(), context / "envoy")
        (context / "Dockerfile").write_text(f"FROM {REGISTRY}/debian:12\nCOPY envoy /usr/local/bin/envoy\n")
        return self._build(context, f"{REGISTRY}/tests/envoy:1", {})

    def environment(self) -> str:
        """The image of the curated environment, with what the examples' scripts and traces need."""
        if not self._environment:
            made = create(
                "EnvironmentContext",
                {
                    "name": "Tests",
                    "clone": "AzureML-Triton",
                    "pipPackages": ["pillow", *traces_packages()],
                    "baseImage": self.base(),
                    "folder": str(self._folder / "environment"),
                    "locks": str(self._folder / "locks"),
                    "curated": {},
                    "sources": {},
                },
            )
            context = Path(made["path"])
            self._environment = self._build(context, f"{REGISTRY}/tests/environment:1", pip_variables())
        return self._environment

    def service(
        self, tag: str, models: Path, script: Path | None = None, *, replace: dict[str, bytes] | None = None
    ) -> str:
        """A service's image; `replace` puts other content into files of the bundle, after it was checked."""
        registered = self._models.register("m", check_layout(models, target="node-pool"), framework="Multi")
        folder = self._folder / f"service-{tag}"
        inputs: dict[str, Any] = {
            "bundles": [
                {
                    "registry": self._models.url,
                    "name": "m",
                    "version": registered.version,
                    "digest": registered.digest,
                    "path": str(self._models.local_path(registered)),
                    "framework": "Multi",
                }
            ],
            "environmentImage": self.environment(),
            "folder": str(folder),
            "holdsModels": True,
        }
        if script is not None:
            golden = script.with_suffix(".golden.json")
            inputs["entryScript"] = {
                "sourceDirectory": str(script.parent),
                "file": script.name,
                "digest": "",
                "golden": json.dumps(read_golden(golden)) if golden.is_file() else "{}",
            }
        create("ServiceContext", inputs)
        for path, content in (replace or {}).items():
            (folder / "models" / "m" / str(registered.version) / path).write_bytes(content)
        return self._build(folder, f"{REGISTRY}/tests/service:{tag}", {})

    def version_of(self, image: str) -> int:
        """The registered version that a service's image holds."""
        return int(self.held_by(image).partition(":")[2].partition("@")[0])

    def held_by(self, image: str) -> str:
        """The bundle that a service's image holds, `name:version@digest`."""
        return str(self._engine.images.get(image).labels["triton-serving.models"])

    def _build(self, context: Path, tag: str, arguments: dict[str, str]) -> str:
        """Build, push, and give the image by digest."""
        self._engine.images.build(path=str(context), tag=tag, buildargs=arguments, rm=True)
        for line in self._engine.images.push(tag, stream=True, decode=True):
            assert "error" not in line, line
        image = self._engine.images.get(tag)
        return next(digest for digest in image.attrs["RepoDigests"] if digest.startswith(tag.rpartition(":")[0]))
