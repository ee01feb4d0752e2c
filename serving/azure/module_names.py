"""Makes our modules importable by Azure's names, so that published scripts run unchanged."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

from serving.azure.model_path import Model

# Azure's module: ours, and the names that it gives.
_OURS = {
    "azureml.contrib.services.aml_request": ("serving.azure.rawhttp", "AMLRequest", "rawhttp"),
    "azureml.contrib.services.aml_response": ("serving.azure.rawhttp", "AMLResponse"),
    "azureml_inference_server_http.api.aml_request": ("serving.azure.rawhttp", "AMLRequest", "rawhttp"),
    "azureml_inference_server_http.api.aml_response": ("serving.azure.rawhttp", "AMLResponse"),
    "azureml_inference_server_http.log_config": ("serving.server_log", "AMLLogFormatter", "RootAccessFilter"),
}
# The same, but an installed distribution comes first: Azure's own has more.
_MODEL = "azureml.core.model"
_SUBSTITUTES = {"azureml.core": ("serving.azure.model_path", "Model"), _MODEL: ("serving.azure.model_path", "Model")}
_PACKAGES = frozenset(name.rsplit(".", depth)[0] for name in _OURS for depth in (1, 2, 3) if name.count(".") >= depth)


def install() -> None:
    """Make these names importable. Other modules in the same packages, of installed distributions, stay so too."""
    if not any(isinstance(finder, _NameFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _NameFinder())
        sys.meta_path.append(_PackageFinder())


class _NameFinder(importlib.abc.MetaPathFinder):
    """Comes first, so that our modules replace those of an installed Azure SDK."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == _MODEL:
            spec = importlib.machinery.PathFinder.find_spec(fullname, path)
            if spec is not None and spec.loader is not None:
                spec.loader = _AzureModelLoader(spec.loader)
            return spec
        return importlib.machinery.ModuleSpec(fullname, _NameLoader()) if fullname in _OURS else None


class _PackageFinder(importlib.abc.MetaPathFinder):
    """Comes last: gives substitutes and empty packages where no distribution has them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname in _SUBSTITUTES:
            return importlib.machinery.ModuleSpec(fullname, _NameLoader(), is_package=fullname == "azureml.core")
        return importlib.machinery.ModuleSpec(fullname, None, is_package=True) if fullname in _PACKAGES else None


class _NameLoader(importlib.abc.Loader):
    def exec_module(self, module: ModuleType) -> None:
        ours_name, *names = (_OURS | _SUBSTITUTES)[module.__name__]
        ours = importlib.import_module(ours_name)
        for name in names:
            setattr(module, name, getattr(ours, name))


class _AzureModelLoader(importlib.abc.Loader):
    """Loads an installed `azureml.core.model`, and shows its `get_model_path` where the models lie.

    Azure's own looks below the working directory, or asks a workspace.
    """

    def __init__(self, installed: importlib.abc.Loader) -> None:
        self._installed = installed

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._installed.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._installed.exec_module(module)
        theirs = module.Model.get_model_path

        def get_model_path(model_name: str, version: int | None = None, _workspace: object = None) -> str:
            try:
                return Model.get_model_path(model_name, version)
            except FileNotFoundError:
                return str(theirs(model_name, version, _workspace))

        module.Model.get_model_path = staticmethod(get_model_path)
