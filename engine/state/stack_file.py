"""A stack's settings file, `Pulumi.<stack>.yaml`: its configuration, edited in place so that comments stay."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from common import pulumi_yaml
from common.atomic_files import write_whole
from engine.errors import EngineError
from engine.state.crypto import Crypter
from engine.state.diff import Path as Place
from engine.state.diff import format_path, parse_path
from engine.state.project_config import ProjectConfig


def load_yaml(path: Path) -> Any:
    """Return the content of a YAML file.

    Raises:
        EngineError: It cannot be read or is not YAML; the text names the place.
    """
    try:
        return pulumi_yaml.load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise EngineError(f"'{path}' is not UTF-8 text: byte {error.start} is not.") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a scalar that is not of its tag
        raise EngineError(f"'{path}' is not YAML: {' '.join(str(error).split())}") from None
    except OSError as error:
        raise EngineError(f"'{path}' cannot be read: {error.strerror}.") from None


@dataclass(frozen=True)
class Configuration:
    """A stack's configuration as programs and providers get it: every value a string, an object's as JSON.

    `secrets` are all that is encrypted in it, also within objects.
    """

    values: dict[str, str]
    secret_keys: frozenset[str]
    secrets: frozenset[str] = frozenset()


class StackFile:
    """One stack's settings file, which need not exist yet. `write` puts changes to disk.

    What it has no value for, it reads from `shared`, the project's own configuration.
    """

    def __init__(self, path: Path, project: str, shared: ProjectConfig | None = None) -> None:
        self.path = path
        self._project = project
        self._shared = shared or ProjectConfig({})
        document = load_yaml(path) if path.exists() else None
        self._text = path.read_text(encoding="utf-8") if path.exists() else ""
        self._document: dict[str, Any] = document or {}
        if not isinstance(self._document, dict) or not isinstance(self._document.get("config") or {}, dict):
            raise EngineError(f"'{path}' is not a stack's settings: expected 'config:' with keys below it.")
        if not isinstance(self.encryption_salt, (str, type(None))):
            raise EngineError(f"'{path}': encryptionsalt is not a text. Expected 'v1:<salt>:<check>'.")
        if (key := _unusual_key(self._document)) is not None:
            raise EngineError(f"'{path}': the key {key!r} is not a text. Put it in quotes.")

    @property
    def encryption_salt(self) -> str | None:
        """The salt of the stack's secrets, empty where the file has none."""
        return self._document.get("encryptionsalt")

    @property
    def config(self) -> dict[str, Any]:
        """The configuration as the files have it, by full key `<project>:<name>`."""
        own = self._document.get("config") or {}
        return self._shared.under({self.full_key(key): value for key, value in own.items()})

    def full_key(self, key: str) -> str:
        """Return the key as `<namespace>:<name>`, the project's where it has none.

        Raises:
            EngineError: It is no key.
        """
        namespace, *middle, name = key.split(":") if ":" in key else (self._project, key)
        if middle not in ([], ["config"]):
            raise EngineError(
                f"invalid configuration key: could not parse {key} as a configuration key (configuration keys should "
                "be of the form `<namespace>:<name>`)"
            )
        return f"{namespace}:{name}"

    def short_key(self, key: str) -> str:
        """Return the key without the project's name, which is the default."""
        return key.removeprefix(f"{self._project}:")

    def configuration(self, decrypt: Callable[[str], str]) -> Configuration:
        """Return the configuration as programs get it."""
        values, secret_keys, secrets = {}, set(), set()

        def open_secret(ciphertext: str) -> str:
            secrets.add(text := decrypt(ciphertext))
            return text

        for key, value in self.config.items():
            values[key] = config_text(reveal(value, open_secret))
            if has_secure(value):
                secret_keys.add(key)
        return Configuration(values, frozenset(secret_keys), frozenset(secrets))

    def check(self, stack: str, decrypt: Callable[[str], str]) -> None:
        """Check the stack's configuration.

        Raises:
            EngineError: It is not what the project declares.
        """
        config = {key: reveal(value, decrypt) for key, value in self.config.items()}
        contents = {
            key: value if isinstance(value, (dict, list)) else config_text(value) for key, value in config.items()
        }
        self._shared.check(stack, contents, {key for key, value in self.config.items() if has_secure(value)})

    def set_salt(self, salt: str) -> None:
        """Set the salt of the stack's secrets."""
        self._document["encryptionsalt"] = salt
        self._edit(("encryptionsalt",), salt)

    def set(self, key: str, value: Any, *, path: bool = False) -> None:
        """Set a key, or with `path` the place in its object that a property path such as `ports[0].name` names."""
        top, *rest = parse_path(key) if path else (key,)
        top = self._file_key(str(top))
        config = self._document.setdefault("config", {}) or {}
        self._document["config"] = config
        config[top] = _put(config.get(top), (self.short_key(top),), tuple(rest), value)
        if not self._edit_within(("config", top), rest, value):
            self._edit(("config", top), config[top])

    def get(self, key: str, *, path: bool = False) -> Any:
        """Return the value under a key or a path, as the files have it; None where there is none."""
        top, *rest = parse_path(key) if path else (key,)
        value: Any = self.config.get(self.full_key(str(top)))
        for segment in rest:
            try:
                value = value[segment]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def remove(self, key: str, *, path: bool = False) -> bool:
        """Remove a key, or a place in its object.

        Returns:
            False where there is none.
        """
        top, *rest = parse_path(key) if path else (key,)
        top = self._file_key(str(top))
        config = self._document.get("config") or {}
        if top not in config:
            return False
        if rest:
            config[top] = copy.deepcopy(config[top])  # of which there may be another, by an anchor
            if not _drop(config[top], (self.short_key(top),), tuple(rest)):
                return False
            if not self._edit_within(("config", top), rest, None, delete=True):
                self._edit(("config", top), config[top])
        else:
            del config[top]
            self._edit(("config", top), None, delete=True)
        return True

    def _file_key(self, key: str) -> str:
        """Return the key as the file writes it, if it has it."""
        full = self.full_key(key)
        return next((name for name in self._document.get("config") or {} if self.full_key(name) == full), full)

    def write(self) -> None:
        """Write the changes to disk.

        Raises:
            EngineError: The file cannot be written.
        """
        write_whole(self.path, self._text)

    def _edit_within(self, keys: tuple[str, ...], rest: list[Any], value: Any, *, delete: bool = False) -> bool:
        """Rewrite the one place below an entry that changes, so that the comments in the entry stay.

        Returns:
            False where that does not give what is meant, as in a list or in `{}`: the text is as before.
        """
        if not rest or not all(isinstance(segment, str) for segment in rest):
            return False
        before = self._text
        try:
            self._splice((*keys, *rest), value, delete=delete)
            if pulumi_yaml.load(self._text) == self._document:
                return True
        except yaml.YAMLError:
            pass
        self._text = before
        return False

    def _edit(self, keys: tuple[str, ...], value: Any, *, delete: bool = False) -> None:
        """Rewrites one entry of the text; where that does not give what is meant, the whole text."""
        try:
            self._splice(keys, value, delete=delete)
            right = pulumi_yaml.load(self._text) == self._document
        except yaml.YAMLError:
            right = False
        if not right:
            self._text = pulumi_yaml.dump(self._document)

    def _splice(self, keys: tuple[str, ...], value: Any, *, delete: bool = False) -> None:
        """Rewrites one entry of the text, by where the parser found it, and leaves the rest as it is."""
        indent = "  " * (len(keys) - 1)
        entry = "" if delete else _indented(pulumi_yaml.dump({keys[-1]: value}), indent)
        root = pulumi_yaml.node(self._text)
        node: Any = root
        for depth, key in enumerate(keys):
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            found = next((pair for pair in pairs if pair[0].value == key), None)
            if found is None:
                if depth == 0:
                    self._append(
                        _indented(pulumi_yaml.dump({keys[0]: {keys[1]: value}}), "") if len(keys) == 2 else entry
                    )
                elif isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
                    entry = _indented(pulumi_yaml.dump({keys[-1]: value}), " " * node.value[-1][0].start_mark.column)
                    last = node.value[-1][1].end_mark.index
                    self._insert(self._line_end(self._content_end(node.value[-1][0].start_mark.index, last)), entry)
                else:
                    self._splice(keys[:1], {keys[1]: value})
                return
            key_node, node = found
        if getattr(root, "flow_style", False):
            self._text = pulumi_yaml.dump(self._document)
            return
        start = self._text.rfind("\n", 0, key_node.start_mark.index) + 1
        end = self._line_end(self._content_end(key_node.start_mark.index, node.end_mark.index))
        own_indent = " " * (key_node.start_mark.index - start)
        entry = "" if delete else _indented(pulumi_yaml.dump({keys[-1]: value}), own_indent)
        self._text = self._text[:start] + entry + self._text[end:]
        if delete and len(keys) == 2 and not self._document["config"]:
            self._splice(("config",), {})

    def _content_end(self, start: int, end: int) -> int:
        """Return the end of an entry without the comments and blank lines that the parser counts to it."""
        lines = self._text[start:end].splitlines(keepends=True)
        while len(lines) > 1 and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
            end -= len(lines.pop())
        return end

    def _line_end(self, index: int) -> int:
        if index and self._text[index - 1] == "\n":
            return index
        newline = self._text.find("\n", index)
        return len(self._text) if newline < 0 else newline + 1

    def _insert(self, index: int, entry: str) -> None:
        before = self._text[:index]
        self._text = before + ("" if before.endswith("\n") or not before else "\n") + entry + self._text[index:]

    def _append(self, entry: str) -> None:
        self._insert(len(self._text), entry)


def open_crypter(file: StackFile, passphrase: str, checkpoint_salt: str = "") -> Crypter:
    """Return the stack's crypter. Where the file has no salt it gets the checkpoint's, or a new one, and is written."""
    crypter = Crypter(passphrase, file.encryption_salt or checkpoint_salt or None)
    if file.encryption_salt is None:
        file.set_salt(crypter.state)
        file.write()
    return crypter


def has_secure(value: Any) -> bool:
    """Tell whether a value of the file is, or contains, `secure: <ciphertext>`."""
    if isinstance(value, dict):
        return is_secure(value) or any(has_secure(item) for item in value.values())
    return isinstance(value, list) and any(has_secure(item) for item in value)


def is_secure(value: Any) -> bool:
    """Tell whether a value of the file is `secure: <ciphertext>`."""
    return isinstance(value, dict) and list(value) == ["secure"] and isinstance(value["secure"], str)


def reveal(value: Any, decrypt: Callable[[str], str]) -> Any:
    """Return the value with `secure:` decrypted."""
    if isinstance(value, dict):
        if is_secure(value):
            return decrypt(value["secure"])
        return {key: reveal(item, decrypt) for key, item in value.items()}
    return [reveal(item, decrypt) for item in value] if isinstance(value, list) else value


_ESCAPED_BY_GO = {code: f"\\u{code:04x}" for code in map(ord, "<>&\u2028\u2029")}


def config_text(value: Any) -> str:
    """Return the value as programs get it: a text bare, anything else as JSON."""
    return value if isinstance(value, str) else "" if value is None else _json(value)


def _json(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{_json(key)}:{_json(item)}" for key, item in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    if isinstance(value, float):
        return pulumi_yaml.decimal(value)
    return json.dumps(value, ensure_ascii=False).translate(_ESCAPED_BY_GO)


def _put(container: Any, place: Place, path: Place, value: Any) -> Any:
    """Return the container, which stands at `place`, with the value at `path` within it.

    What is missing is made, and a scalar at the top gives way; anything else of another kind is refused, as by the CLI
    (`object.Set` in sdk/go/common/resource/config/object.go of its repository).
    """
    if not path:
        return value
    head, rest = path[0], path[1:]
    here = (*place, head)
    if is_secure(container) or not isinstance(container, (list, dict)):
        if container is not None and len(place) > 1:
            raise _unfit(place, "expected an array" if isinstance(head, int) else "expected a map")
        container = [None] * (head + 1) if isinstance(head, int) else {}
    if isinstance(container, list):
        if not isinstance(head, int):
            raise _unfit(here, "key for an array must be an int")
        if head > len(container):
            raise _unfit(here, f"array index out of range: the list has {len(container)}")
        items = [*container, None] if head == len(container) else list(container)
        items[head] = _put(items[head], here, rest, value)
        return items
    if not isinstance(head, str):
        raise _unfit(here, "key for a map must be a string")
    changed = {**container, head: _put(container.get(head), here, rest, value)}
    return _no_secret_by_chance(here, changed)


def _drop(container: Any, place: Place, path: Place) -> bool:
    """Remove what stands at `path` within the container; False where nothing does."""
    head, rest = path[0], path[1:]
    if is_secure(container) or not isinstance(container, (list, dict)):
        return False
    try:
        inner = container[head]  # type: ignore[index]
    except (KeyError, IndexError, TypeError):
        return False
    if rest:
        return _drop(inner, (*place, head), rest)
    del container[head]  # type: ignore[arg-type]
    _no_secret_by_chance((*place, head), container)
    return True


def _no_secret_by_chance(place: Place, value: Any) -> Any:
    """Return the value, unless the file would take it for an encrypted one."""
    if is_secure(value):
        raise _unfit(place, '"secure" as the only key of a map marks an encrypted value; use --secret, or another key')
    return value


def _unfit(place: Place, what: str) -> EngineError:
    return EngineError(f"could not set config: {format_path(place)}: {what}")


def _unusual_key(value: Any) -> Any:
    """Return a key in the value, or within it, that is not a string; None where there is none."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if isinstance(value, dict) and not isinstance(key, str):
            return key if key is not None else "null"
        if (found := _unusual_key(item)) is not None:
            return found
    return None


def _indented(text: str, indent: str) -> str:
    return "".join(indent + line for line in text.splitlines(keepends=True))
