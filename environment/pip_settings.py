"""The user's pip configuration, translated for uv.

uv reads its own variables and files, never pip's. A machine that reaches packages only through pip's configuration (a
private index, a certificate, a proxy) would lose them. So each setting of pip, from a `PIP_*` variable or a
configuration file, becomes a variable of uv's, unless the user sets that for uv already.
"""

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["pip_variables", "uv_variables"]

SYSTEM_FILE = Path("/etc/pip.conf")

# pip's option, uv's variable for it, and the other variables that uv would take it from
_COUNTERPARTS = (
    ("index-url", "UV_DEFAULT_INDEX", ("UV_INDEX_URL",)),
    ("extra-index-url", "UV_INDEX", ("UV_EXTRA_INDEX_URL",)),
    ("find-links", "UV_FIND_LINKS", ()),
    ("no-index", "UV_NO_INDEX", ()),
    ("trusted-host", "UV_INSECURE_HOST", ()),
    ("timeout", "UV_HTTP_TIMEOUT", ("UV_REQUEST_TIMEOUT", "HTTP_TIMEOUT")),
    ("default-timeout", "UV_HTTP_TIMEOUT", ("UV_REQUEST_TIMEOUT", "HTTP_TIMEOUT")),
    ("cert", "SSL_CERT_FILE", ("SSL_CERT_DIR",)),
    ("client-cert", "SSL_CLIENT_CERT", ()),
    ("proxy", "ALL_PROXY", ("HTTPS_PROXY", "https_proxy", "all_proxy")),
)


def uv_variables(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Translate pip's settings into uv's variables, except those that `environ` sets for uv already.

    The values may contain credentials: give them to a process, and never print them.
    """
    told = _from_files(environ) | _from_variables(environ)
    variables = {}
    for option, variable, others in _COUNTERPARTS:
        if option not in told or any(environ.get(name) for name in (variable, *others)):
            continue
        value = told[option].strip()
        if option == "find-links":
            # pip ignores a missing folder, uv stops at it
            value = ",".join(place for place in value.split() if "://" in place or Path(place).exists())
        elif option in ("extra-index-url", "trusted-host"):
            value = " ".join(value.split())
        if value:
            variables[variable] = value
    return variables


def pip_variables(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Collect in pip's variables where packages come from, for the pip of an image's build.

    The values may contain credentials: give them to a process, and never print them.
    """
    told = _from_files(environ) | _from_variables(environ)
    told.setdefault("index-url", environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL") or "")
    told.setdefault("default-timeout", told.get("timeout", ""))
    options = ("index-url", "extra-index-url", "trusted-host", "default-timeout")
    return {_variable(option): " ".join(told[option].split()) for option in options if told.get(option)}


def _variable(option: str) -> str:
    return f"PIP_{option.upper().replace('-', '_')}"


def _from_variables(environ: Mapping[str, str]) -> dict[str, str]:
    names = {_variable(option): option for option, _, _ in _COUNTERPARTS}
    return {option: environ[name] for name, option in names.items() if environ.get(name)}


def _from_files(environ: Mapping[str, str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for file in _files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue  # pip itself complains about it
        for section in ("global", "install"):
            if parser.has_section(section):
                options |= {name.replace("_", "-"): value for name, value in parser.items(section)}
    return options


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield pip's configuration files in pip's order: a later one overrides an earlier one."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    for folder in reversed(environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")):
        yield Path(folder, "pip", "pip.conf")
    yield SYSTEM_FILE
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    yield home / ".pip" / "pip.conf"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    yield Path(sys.prefix, "pip.conf")
    if named:
        yield Path(named)
