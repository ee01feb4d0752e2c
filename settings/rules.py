"""Rules over the whole tree: what a single setting cannot know about the others, the disk and this machine.

They hold in every engine and at every preview; those that protect people (keys in plain text, an open service on a
public address) are here too.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from gateway.keys import check_key
from settings.errors import Mistake
from settings.schema import Framework, Model, RegisteredModelId, Settings, Target

__all__ = ["broken_rules"]


def broken_rules(settings: Settings, *, project: Path, secret: Collection[str]) -> list[Mistake]:
    """List the rules that these settings break, relative paths starting at `project`."""
    rules: tuple[Callable[[Settings, Path, Collection[str]], Iterator[Mistake]], ...] = (
        _models_exist_once,
        _entry_script_exists,
        _somebody_serves,
        _tls_files_exist,
        _keys_are_secret,
        _public_means_guarded,
    )
    return [mistake for rule in rules for mistake in rule(settings, project, secret)]


def _models_exist_once(settings: Settings, project: Path, _: Collection[str]) -> Iterator[Mistake]:
    names = Counter(model.name for model in settings.models)
    for index, model in enumerate(settings.models):
        if names[model.name] > 1:
            yield Mistake(
                path=f"models[{index}]", value=repr(model.name), expected="expected each model's name once in a service"
            )
        if isinstance(model, Model) and not (project / model.path).exists():
            yield Mistake(
                path=f"models[{index}].path",
                value=repr(model.path),
                expected=f"expected a folder; there is none at {(project / model.path).resolve()}",
            )


def _entry_script_exists(settings: Settings, project: Path, _: Collection[str]) -> Iterator[Mistake]:
    if settings.entry_script is None:
        return
    source = project / settings.source_directory
    if not source.is_dir():
        yield Mistake(
            path="sourceDirectory",
            value=repr(settings.source_directory),
            expected=f"expected a folder at {source.resolve()}",
        )
    elif not (source / settings.entry_script).is_file():
        scripts = ", ".join(sorted(p.name for p in source.glob("*.py"))) or "none"
        yield Mistake(
            path="entryScript",
            value=repr(settings.entry_script),
            expected=f"expected a Python file in {source.resolve()}; the scripts there: {scripts}",
        )
    elif not (source / settings.entry_script).resolve().is_relative_to(source.resolve()):
        yield Mistake(
            path="entryScript", value=repr(settings.entry_script), expected="expected a file inside sourceDirectory"
        )


def _somebody_serves(settings: Settings, _: Path, __: Collection[str]) -> Iterator[Mistake]:
    by_triton = any(isinstance(m, RegisteredModelId) or m.framework is Framework.MULTI for m in settings.models)
    if not by_triton and settings.entry_script is None:
        yield Mistake(
            path="entryScript",
            expected="is required where every model has framework 'Custom': Triton serves none of them",
        )


def _tls_files_exist(settings: Settings, project: Path, _: Collection[str]) -> Iterator[Mistake]:
    if settings.tls is None:
        return
    for path, file in (
        ("tls.certificateFile", settings.tls.certificate_file),
        ("tls.keyFile", settings.tls.key_file),
    ):
        if not (project / file).is_file():
            yield Mistake(path=path, value=repr(file), expected=f"expected a PEM file at {(project / file).resolve()}")


def _keys_are_secret(settings: Settings, _: Path, secret: Collection[str]) -> Iterator[Mistake]:
    for path, key in (("primaryKey", settings.primary_key), ("secondaryKey", settings.secondary_key)):
        if key is None:
            continue
        if path not in secret:
            yield Mistake(
                path=path, expected=f"stands in plain text; set it with: pulumi config set --secret {path} <key>"
            )
        try:
            check_key(key.get_secret_value(), path)
        except ValueError as error:
            yield Mistake(path=path, expected=str(error).removeprefix(f"{path}: "))


def _public_means_guarded(settings: Settings, _: Path, __: Collection[str]) -> Iterator[Mistake]:
    deployment = settings.deployment
    if deployment.public and not deployment.auth_enabled:
        yield Mistake(
            path="deployment.authEnabled",
            value="false",
            expected="expected true where deployment.public is true: whoever reaches this machine could use it",
        )
    if deployment.public and settings.tls is None and deployment.target is not Target.NODE_POOL:
        yield Mistake(
            path="tls",
            expected="is required where deployment.public is true: keys would cross the network in clear text",
        )
