"""Check one model's folder, `triton/<model>/`: its configuration, its versions and their files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.bundle_types import BundleFile, Model
from bundle.config_rules import backend_problems, config_problems, incomplete_problems
from bundle.folder_tree import Tree
from bundle.frameworks import ENSEMBLE, ONNXRUNTIME, PYTHON, Framework, named, named_by_model, recognised
from bundle.golden_file import GOLDEN_FILE, GoldenFileError, load
from bundle.graph_comparison import completed_batch_size, config_tensors, graph_problems, graph_tensors
from bundle.label_files import label_notes, unix_lines
from bundle.model_config import CONFIG_FILE, ConfigError, ModelConfig, instance_kinds, parse_config
from bundle.model_file import find_model_file, unrecognised
from bundle.named_files import environment_problems, named_file_problems
from bundle.problems import listed, nearest
from bundle.python_model import PythonModelError, read_python_model
from bundle.runtimes import Runtime
from bundle.sequence_batcher import read_sequences
from bundle.shell_names import folder_problems, has_execution_environment
from bundle.version_folders import absent_versions, find_versions, loaded_versions

if TYPE_CHECKING:  # `onnx` takes long to import: whoever checks no ONNX model goes without
    from bundle.onnx_graph import Graph

_STUB = "triton_python_backend_stub"


@dataclass
class ModelFolder:
    """The result of checking a model's folder; `model` is None where the check cannot tell its interface."""

    name: str
    config: ModelConfig | None = None
    config_path: str = ""
    model: Model | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    moved: dict[str, str | None] = field(default_factory=dict)
    """By file, the path to register it under; None: do not register it."""
    added: list[BundleFile] = field(default_factory=list)
    rewritten: dict[str, bytes] = field(default_factory=dict)
    """By file, the content to register in place of its own."""


def check_model(tree: Tree, name: str, target: str, runtime: Runtime | None = None) -> ModelFolder:
    """Check the folder of one model.

    Args:
        tree: The bundle's files.
        name: The model's name.
        target: The target that will serve it.
        runtime: The target's Triton, as far as it is known.
    """
    folder = f"triton/{name}"
    found = ModelFolder(name)
    found.problems.extend(folder_problems(folder, name))
    versions = find_versions(tree, folder)
    found.problems.extend(versions.problems)
    parsed = _read_config(tree, folder, versions.versions, found)
    if found.config is not None:
        found.problems.extend(config_problems(found.config, found.config_path, name))
        if runtime is not None:
            found.problems.extend(runtime.config_problems(found.config, found.config_path))
    if found.config is not None:
        found.problems.extend(named_file_problems(tree, folder, found.config, found.config_path))
    if not versions.versions or not parsed:
        return found
    loaded = loaded_versions(versions.versions, found.config)
    absent = absent_versions(versions.versions, found.config)
    if absent:
        found.problems.append(
            f"{found.config_path}: version_policy names {listed(absent)}, which Triton would leave out in silence; "
            f"expected versions that are there ({listed(versions.versions)}); add the folders, or change it"
        )
    elif not loaded:
        found.problems.append(
            f"{found.config_path}: version_policy "
            f"loads none of the versions that are there ({listed(versions.versions)}); change it"
        )
    if not loaded:
        return found
    framework = _framework(tree, folder, versions.versions, target, found)
    if framework is not None:
        found.problems.extend(_intruders(tree, folder, framework, found))
        if framework.backend == PYTHON and found.config is not None:
            found.problems.extend(environment_problems(tree, folder, found.config, found.config_path, target))
        _check_versions(tree, folder, loaded, framework, target, runtime, found)
    for version in versions.versions:
        if not tree.has_files_below(f"{folder}/{version}"):
            # Triton wants a version's folder, but neither Git nor an object store keeps an empty one.
            found.added.append(BundleFile(Path(os.devnull), f"{folder}/{version}/.keep"))
    return found


def _read_config(tree: Tree, folder: str, versions: tuple[int, ...], found: ModelFolder) -> bool:
    """Read the configuration, wherever it lies; return False where one does not parse."""
    beside = f"{folder}/{CONFIG_FILE}"
    places = [beside, *(f"{folder}/{version}/{CONFIG_FILE}" for version in versions)]
    configs: dict[str, ModelConfig] = {}
    if beside in tree.folders:
        found.problems.append(f"{beside}: is a folder; expected a file in protobuf's text format; remove or rename it")
        return False
    for place in (place for place in places if place in tree.files):
        found.moved[place] = beside if place == beside or not found.moved else None
        try:
            configs[place] = parse_config(tree.files[place], place)
        except ConfigError as error:
            found.problems.append(str(error))
    if len(configs) < len(found.moved):
        return False
    if not configs:
        for file in tree.files_in(folder):
            if nearest(file.lower(), [CONFIG_FILE]):
                found.notes.append(f"{folder}/{file}: Triton ignores it; it reads {CONFIG_FILE} only")
        return True
    found.config_path, found.config = next(iter(configs.items()))
    for place, config in configs.items():
        if config != found.config:
            found.problems.append(
                f"{place}: differs from {found.config_path}; expected one configuration; remove one of the two"
            )
        elif found.moved[place] is None:
            found.notes.append(f"{place}: left out, as it says what {found.config_path} says")
        elif place != beside:
            found.notes.append(f"{place}: put beside the versions as {beside}, where Triton reads it")
    return True


def _framework(tree: Tree, folder: str, versions: tuple[int, ...], target: str, found: ModelFolder) -> Framework | None:
    config, shown = found.config, found.config_path
    # Triton looks into the folder whose name sorts first as a text, not as a number.
    first = f"{folder}/{min(map(str, versions))}"
    contents = {*tree.files_in(first), *tree.folders_in(first)}
    contents.update(path.removeprefix(f"{first}/") for path in tree.refused if path.startswith(f"{first}/"))
    if config is None or not (config.backend or config.platform or config.default_model_filename):
        framework = recognised(contents) or named_by_model(found.name)
        if framework is None:
            found.problems.append(unrecognised(first, contents, shown))
            return None
    else:
        libraries = [file for place in (folder, first) for file in tree.files_in(place)]
        problems = list(backend_problems(config, shown, libraries))
        found.problems.extend(problems)
        if f"libtriton_{config.backend}.so" in libraries:
            return Framework(config.backend, config.backend, config.platform, "")
        known = named(backend=config.backend, platform=config.platform, file=config.default_model_filename)
        if known is None:
            if not problems and not any("platform" in problem for problem in found.problems):
                found.problems.append(_no_framework(config, shown))
            return None
        framework = known
    if target not in framework.targets:
        found.problems.append(
            f"{shown or folder}: target '{target}' cannot serve {framework.label} models; expected a target that can: "
            f"{listed(framework.targets)}; choose one, or convert the model to ONNX"
        )
    elif framework.caveat:
        found.notes.append(f"{shown or folder}: {framework.caveat}")
    return framework


def _no_framework(config: ModelConfig, shown: str) -> str:
    if config.backend and config.platform:
        return (
            f"{shown}: platform '{config.platform}' and backend '{config.backend}' do not belong together; "
            "remove one of the two"
        )
    return (
        f'{shown}: neither backend nor platform is named; expected one of them, such as backend: "onnxruntime"; add it'
    )


def _intruders(tree: Tree, folder: str, framework: Framework, found: ModelFolder) -> Iterator[str]:
    """Yield a line for each file or parameter that would make an ONNX model run its own code.

    The ONNX backend of target `process` is written in Python, so Triton would take these for the backend's.
    """
    if framework.backend != ONNXRUNTIME:
        return
    if f"{folder}/{_STUB}" in tree.files:
        yield f"{folder}/{_STUB}: Triton would run it in the place of its own, for a model in ONNX; remove it"
    if found.config is not None and has_execution_environment(found.config):
        yield f"{found.config_path}: parameter EXECUTION_ENV_PATH is for models in Python alone; remove it"


def _check_versions(
    tree: Tree,
    folder: str,
    loaded: tuple[int, ...],
    framework: Framework,
    target: str,
    runtime: Runtime | None,
    found: ModelFolder,
) -> None:
    config = found.config
    graph: Graph | None = None
    model_file: str | None = None
    intact = True
    completes = framework.completes
    for version in loaded:
        model_file, problem = find_model_file(tree, f"{folder}/{version}", framework, config)
        if problem:
            found.problems.append(problem)
            intact = False
        if model_file is None or model_file not in tree.files:
            continue
        if framework.backend == PYTHON:
            try:
                completes = read_python_model(tree.files[model_file], target).completes
            except PythonModelError as error:
                (found.problems if error.certain else found.notes).append(f"{model_file}: {error}")
                completes = True
        elif framework.backend == ONNXRUNTIME:
            from bundle.onnx_graph import GraphError, read_graph

            try:
                graph = read_graph(tree.files[model_file])
            except GraphError as error:
                found.problems.append(f"{model_file}: {error}")
                intact = False
                continue
            found.problems.extend(_graph_problems(tree, graph, target, runtime, model_file, found))
    incomplete = list(incomplete_problems(config, found.config_path)) if config is not None else []
    if not completes:
        found.problems.extend(incomplete)
    if not intact:
        return
    # A backend that completes a configuration may add inputs, and a batch dimension to all of them.
    added = completes and (framework.backend == PYTHON or bool(incomplete))
    found.model = _model(found.name, loaded, framework, config, graph, model_file)
    if added:
        found.model = replace(found.model, inputs=(), outputs=())
    _read_labels(tree, folder, found.model, found)
    if graph is not None and model_file is not None and not found.problems:
        from bundle.onnx_backend import batching_note

        size = found.model.max_batch_size
        found.notes.extend(batching_note(config, tree.files[model_file], size, model_file, target))
    for version in loaded:
        if f"{folder}/{version}/{GOLDEN_FILE}" in tree.files:
            found.notes.append(
                f"{folder}/{version}/{GOLDEN_FILE}: is not read; a golden inference lies beside the versions, as "
                f"{folder}/{GOLDEN_FILE}"
            )
    golden = f"{folder}/{GOLDEN_FILE}"
    if golden in tree.files:
        try:
            found.model = replace(found.model, golden=load(tree.files[golden], found.model, golden))
        except GoldenFileError as error:
            found.problems.extend(error.problems)


def _graph_problems(
    tree: Tree, graph: Graph, target: str, runtime: Runtime | None, model_file: str, found: ModelFolder
) -> list[str]:
    from bundle.onnx_backend import unserved_problems
    from bundle.onnx_graph_rules import PROCESS, graph_target_problems, load_problems

    config = found.config
    problems = list(graph_target_problems(graph, config, target, runtime, tree.files[model_file], model_file))
    if target == PROCESS:
        problems.extend(unserved_problems(config, found.config_path))
    if config is not None:
        problems.extend(graph_problems(config, graph, found.config_path, model_file))
    # The other targets have another release of ONNX Runtime, and this process lacks a library's own operators.
    if not problems and target == PROCESS and not (config and config.model_operations.op_library_filename):
        problems.extend(load_problems(tree.files[model_file], model_file))
    return problems


def _read_labels(tree: Tree, folder: str, model: Model, found: ModelFolder) -> None:
    for tensor in model.outputs:
        path = f"{folder}/{tensor.labels}"
        if tensor.labels and path in tree.files:
            data = tree.files[path].read_bytes()
            found.notes.extend(f"{path}: {note}" for note in label_notes(data, tensor))
            if unix_lines(data) != data:
                found.rewritten[path] = unix_lines(data)


def _model(
    name: str,
    loaded: tuple[int, ...],
    framework: Framework,
    config: ModelConfig | None,
    graph: Graph | None,
    model_file: str | None,
) -> Model:
    batch_size = completed_batch_size(config, graph)
    inputs = config_tensors(config.input, batch_size) if config is not None else ()
    outputs = config_tensors(config.output, batch_size) if config is not None else ()
    if graph is not None:
        inputs = inputs or graph_tensors(graph.inputs, batch_size)
        outputs = outputs or graph_tensors(graph.outputs, batch_size)
    return Model(
        name=name,
        versions=loaded,
        backend="" if framework.platform == ENSEMBLE else framework.backend,
        platform=framework.platform,
        max_batch_size=batch_size,
        inputs=inputs,
        outputs=outputs,
        model_file=model_file,
        instance_kinds=instance_kinds(config),
        sequences=read_sequences(config),
    )
