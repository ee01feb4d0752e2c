"""Draft a new stack in a folder of its own: copy the model, run it, write its script, and put the settings together."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundle.bundle_types import Bundle, Golden, Model
from bundle.folder_tree import is_junk
from bundle.frameworks import TENSORRT
from bundle.layout import check_layout
from bundle.model_config import CONFIG_FILE
from bundle.problems import LayoutError
from bundle.python_model import read_python_model
from operate.new.asked import Asked
from operate.new.errors import NewStackError
from operate.new.goldens import NoGolden, golden_of, place_of, text_of
from operate.new.pickles import packages_of, pickle_script
from operate.new.scripts import Script, script_for
from operate.new.sources import Found
from operate.new.values import stack_values
from settings.load import load
from settings.model_runtime import layout_of
from settings.schema import Settings, Target
from settings.stack_reader import file_of

__all__ = ["Draft", "draft"]

_NEEDS_CONFIG = ("pytorch", "tensorflow_graphdef")
_INTERFACE = 'input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ] output [ ... ]'


@dataclass
class Draft:
    """A stack that is not in its place yet.

    Attributes:
        values: The settings by name.
        files: The file or folder that goes to a place, by that place.
        told: What each written file is, by its path; for people.
        notes: What people should know, a line each.
    """

    values: dict[str, Any] = field(default_factory=dict)
    files: dict[Path, Path] = field(default_factory=dict)
    told: dict[Path, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def draft(asked: Asked, found: Found, scratch: Path, say: Callable[[str], None]) -> Draft:
    """Draft a stack for a model.

    Args:
        asked: What the user asks for.
        found: The model.
        scratch: A folder that is empty, and removed later.
        say: Called with each line worth showing.

    Raises:
        NewStackError: The target cannot serve the model, or no script can.
        ResolutionError: The packages of a pickle do not go together.
        OSError: The model cannot be copied.
    """
    made, places = Draft(), asked.places
    if found.in_place is None:
        copy = scratch / "bundle"
        _copy(found, copy)
        made.files[places.bundle] = copy
    script = _for_pickle(asked, found, scratch, made, say) if found.pickle else _for_triton(asked, found, scratch, made)
    if script is not None:
        _write_script(asked, script, scratch, made)
    return made


def _copy(found: Found, folder: Path) -> None:
    """Copy the model's files; links become what they lead to, as a bundle has no links that leave it."""
    for place, source in found.files.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=lambda _, names: [name for name in names if is_junk(name)])
        else:
            shutil.copyfile(source, target)


def _for_pickle(asked: Asked, found: Found, scratch: Path, made: Draft, say: Callable[[str], None]) -> Script:
    if asked.script not in ("", "1"):
        raise NewStackError(
            f"SCRIPT={asked.script}: names a model of Triton's, and an entry script loads this pickle itself; expected "
            "1 or nothing; leave it out"
        )
    file = scratch / "bundle" / found.pickle
    packages = packages_of(file)
    settings = _settings(asked, found, made, gpu=False, packages=packages)
    made.told[asked.places.bundle / found.pickle] = f"the pickle, copied from {asked.model}"
    return pickle_script(file, packages, asked.name, Path(settings.state_directory) / "environments", say)


def _for_triton(asked: Asked, found: Found, scratch: Path, made: Draft) -> Script | None:
    folder = found.in_place or scratch / "bundle"
    bundle = _checked(asked, check_layout, folder)
    gpu = asked.target == Target.NODE_POOL.value or any(_wants_gpu(model) for model in bundle.models)
    settings = _settings(asked, found, made, gpu=gpu)
    bundle = _checked(asked, lambda path, target: layout_of(settings, path), folder)
    _require_interfaces(asked, bundle)
    for place in found.files:
        made.told[asked.places.bundle / place] = f"{found.kind}, copied from {found.files[place]}"
    goldens: dict[str, Golden] = {}
    for model in bundle.models:
        try:
            goldens[model.name] = golden_of(bundle, model)
        except NoGolden as error:
            made.notes.append(f"the model '{model.name}' gets no golden inference: {error}; write its golden.json")
            continue
        if model.golden is None:
            _write_golden(asked, found, model, goldens[model.name], scratch, made)
    made.notes = [*bundle.notes, *made.notes]
    if not asked.script:
        return None
    model = _asked_model(asked, bundle)
    return script_for(model, goldens.get(model.name), gpu=gpu)


def _checked(asked: Asked, check: Callable[..., Bundle], folder: Path) -> Bundle:
    """Check a bundle's layout, with the user's words before its problems."""
    try:
        return check(folder, target=asked.target)
    except LayoutError as error:
        lines = "\n".join(f"  {problem}" for problem in error.problems)
        raise NewStackError(f"MODEL={asked.model}: target '{asked.target}' cannot serve it:\n{lines}") from None


def _wants_gpu(model: Model) -> bool:
    return model.backend == TENSORRT or "KIND_GPU" in model.instance_kinds


def _require_interfaces(asked: Asked, bundle: Bundle) -> None:
    """Refuse models of which Triton would not know the inputs, which the layout leaves to Triton.

    Raises:
        NewStackError: A model has no configuration, and neither its file nor its backend tells its inputs.
    """
    configured = {file.path for file in bundle.files}
    for model in bundle.models:
        needs = model.backend in _NEEDS_CONFIG or model.platform in _NEEDS_CONFIG
        if model.backend == "python" and model.model_file is not None:
            source = next(file.source for file in bundle.files if file.path == model.model_file)
            needs = not read_python_model(source, asked.target).completes
        if needs and f"triton/{model.name}/{CONFIG_FILE}" not in configured:
            beside = "it" if asked.path.is_file() else f"the versions of '{model.name}'"
            raise NewStackError(
                f"MODEL={asked.model}: its file does not tell Triton its inputs; expected {CONFIG_FILE} beside "
                f"{beside}, with {_INTERFACE}; write it: docs/your-model.md#4-a-python-model has one"
            )


def _settings(asked: Asked, found: Found, made: Draft, *, gpu: bool, packages: Sequence[str] = ()) -> Settings:
    """Put the settings together, and check their form."""
    folder = found.in_place or made.files[asked.places.bundle]
    made.values = stack_values(asked, found, folder, gpu=gpu, packages=packages)
    return load(made.values, subject=file_of(asked.name), project=asked.project, form_alone=True)


def _write_golden(asked: Asked, found: Found, model: Model, golden: Golden, scratch: Path, made: Draft) -> None:
    place = place_of(model, found.in_place or asked.places.bundle)
    if found.in_place is None:
        file = place_of(model, scratch / "bundle")
    elif not os.access(place.parent, os.W_OK):
        made.notes.append(f"{place}: is not written, as its folder is read-only; registering derives the same")
        return
    else:
        file = scratch / f"{model.name}.golden.json"
        made.files[place] = file
    file.write_text(text_of(golden), encoding="utf-8")
    made.told[place] = "a random request, and the answer that ONNX Runtime gave to it here"


def _asked_model(asked: Asked, bundle: Bundle) -> Model:
    """Find the model that the script asks.

    Raises:
        NewStackError: There are several, or none of this name, or its inputs are unknown.
    """
    names = [model.name for model in bundle.models]
    matches = [model for model in bundle.models if asked.script in ("1", model.name)]
    if len(matches) != 1:
        raise NewStackError(
            f"SCRIPT={asked.script}: the bundle has the models {', '.join(names)}; expected the name of the one that "
            f"the script asks; say: SCRIPT={names[0]}"
        )
    (model,) = matches
    if not model.inputs or not model.outputs:
        raise NewStackError(
            f"SCRIPT={asked.script}: '{model.name}' tells its inputs and outputs only once it runs; expected them in "
            f"its {CONFIG_FILE}; write them there"
        )
    return model


def _write_script(asked: Asked, script: Script, scratch: Path, made: Draft) -> None:
    folder, place = scratch / "script", asked.places.scripts
    folder.mkdir()
    (folder / "score.py").write_text(script.text, encoding="utf-8")
    made.files[place] = folder
    made.told[place / "score.py"] = "the entry script: init() and run()"
    if script.golden is None:
        made.notes.append(
            f"the script gets no golden request: {script.why_no_golden}; write "
            f"{(place / 'score.golden.json').relative_to(asked.project)}: docs/entry-scripts.md#a-golden-request"
        )
        return
    content = json.dumps(script.golden, ensure_ascii=False).replace(', "response": ', ',\n "response": ')
    (folder / "score.golden.json").write_text(f"{content}\n", encoding="utf-8")
    made.told[place / "score.golden.json"] = "a request and the answer expected of the script"
