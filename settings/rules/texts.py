"""Rules over every text of the settings: files and variables can hold it, and it has no credential in the clear."""

from collections.abc import Iterator, Mapping

from common.redaction import credential_in
from settings.errors import Mistake
from settings.rules.rule import rule
from settings.schema import Settings

__all__ = ["PACKAGE_ADVICE", "text_rules"]

PACKAGE_ADVICE = (
    "put it into ~/.netrc (machine <host> login <user> password <token>), which is read on target 'process', or ask "
    "for the package by its name and name its index, with the credential, in PIP_EXTRA_INDEX_URL or pip's "
    "configuration: neither gets into the state"
)
"""Where the credential of a package belongs."""

_ADVICE = {
    "environment.pipPackages": PACKAGE_ADVICE,
    "registry": "say it to the store's own library: in ~/.config/fsspec/conf.json, or in variables of the shell such "
    "as FSSPEC_SFTP_PASSWORD",
}


@rule
def text_rules(settings: Settings) -> Iterator[Mistake]:
    """Yield the texts that no file or variable can hold, and the URLs with a credential, which the state would show.

    Variables may have one: README says that everybody sees them.
    """
    for path, text in _texts(settings.model_dump(by_alias=True, warnings=False)):
        if "\0" in text:
            yield Mistake(path=path, value=repr(text), expected="expected text without a NUL character; remove it")
        elif not _is_utf8(text):
            yield Mistake(path=path, value=ascii(text), expected="expected text that UTF-8 can hold")
        elif not path.startswith("environment.variables.") and (found := credential_in(text)):
            advice = _ADVICE.get(path.partition("[")[0], "name it where the state does not keep it")
            yield Mistake(
                path=path,
                value=repr(text),
                expected=f"has {found}, and the state and its history would show it; leave it out, and {advice}",
            )


def _texts(tree: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text in a tree of settings with its path, names of a mapping included, secret values not."""
    if isinstance(tree, str):
        yield path, tree
    elif isinstance(tree, Mapping):
        for name, value in tree.items():
            shown = str(name) if str(name).isprintable() else ascii(name)
            inner = f"{path}.{shown}" if path else shown
            yield inner, str(name)
            yield from _texts(value, inner)
    elif isinstance(tree, (list, tuple)):
        for index, value in enumerate(tree):
            yield from _texts(value, f"{path}[{index}]")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
