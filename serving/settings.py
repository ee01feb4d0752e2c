"""The server's settings: Azure's environment variables, and a few of our own, in one typed place.

Flags (see `arguments`) and the keys of a `config.json` become environment variables first. So the script and the server
see the same values, and each value comes from one place.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.errors import ServingError

# A message of this size surely fits into the buffer of the socket between the workers and the collector.
MAX_RECORD_BYTES = 150_000
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_OTHER_LEVELS = {"WARN": "WARNING", "FATAL": "CRITICAL"}
_FLAGS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


class SettingsError(ServingError):
    """Settings that nobody can use; `problems` holds a line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Collection:
    """The settings of data collection; see `VARIABLES`."""

    url: str
    format: str
    sample: float
    max_record_bytes: int
    max_day_bytes: int
    seconds: int
    redact: str | None


@dataclass(frozen=True)
class Settings:
    """The settings of one server; see `VARIABLES` for the variable behind each field."""

    app_root: Path
    source_directory: Path | None
    entry_script: str
    config_file: Path | None
    model_dir: str | None
    host: str
    port: int
    health_port: int | None
    worker_count: int
    worker_timeout: int
    preload: bool
    graceful_timeout: int
    keep_alive: int
    monkey_patch: bool
    concurrent_runs: str | None
    scoring_timeout_ms: int
    max_request_bytes: int
    max_concurrent_requests: int
    cors_origins: tuple[str, ...]
    service_name: str
    service_version: str
    service_path_prefix: str
    send_server_version: bool
    log_level: str
    triton_url: str | None
    triton_models: tuple[tuple[str, str], ...]
    triton_wait: int
    traces_url: str | None
    collection: Collection | None

    @property
    def scoring_seconds(self) -> float:
        """Seconds that one request may take."""
        return self.scoring_timeout_ms / 1000


@dataclass(frozen=True)
class Variable:
    """One environment variable.

    Attributes:
        default: its text where nobody sets it; None where the server has another way to find a value.
        parse: reads its text; raises ValueError for a text that is not `expected`.
        expected: the values that it may have, in words.
    """

    default: str | None
    parse: Callable[[str], Any]
    expected: str


def _text(value: str) -> str:
    return value


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    def parse(value: str) -> int:
        number = int(value)
        if number < least or (most is not None and number > most):
            raise ValueError
        return number

    return parse


def _flag(value: str) -> bool:
    if value.lower() not in _FLAGS:
        raise ValueError
    return _FLAGS[value.lower()]


def _origins(value: str) -> tuple[str, ...]:
    return tuple(origin.strip() for origin in value.split(",") if origin.strip())


def _models(value: str) -> tuple[tuple[str, str], ...]:
    models = []
    for item in filter(None, (part.strip() for part in value.split(","))):
        name, colon, version = item.rpartition(":")
        if not colon or not name or int(version) < 1:
            raise ValueError
        models.append((name, version))
    return tuple(models)


def _share(value: str) -> float:
    share = float(value)
    if not 0.0 < share <= 1.0:
        raise ValueError
    return share


def _one_of(*names: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in names:
            raise ValueError
        return value

    return parse


def _level(value: str) -> str:
    level = _OTHER_LEVELS.get(value.upper(), value.upper())
    if level not in LOG_LEVELS:
        raise ValueError
    return level


def _function(value: str) -> str:
    module, colon, function = value.partition(":")
    if not (module and colon and function.isidentifier()):
        raise ValueError
    return value


_FOR_TRACES = {
    "opentelemetry-sdk": "opentelemetry.sdk",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http",
}
_PORT = Variable(None, _whole(1, 65535), "a port from 1 to 65535")
_TRUE_OR_FALSE = "'true' or 'false'"

VARIABLES: dict[str, Variable] = {
    "AML_APP_ROOT": Variable(None, _text, "a folder"),
    "AZUREML_SOURCE_DIRECTORY": Variable(None, _text, "a folder in AML_APP_ROOT"),
    "AZUREML_ENTRY_SCRIPT": Variable("main.py", _text, "a Python file in AML_APP_ROOT"),
    "AZUREML_MODEL_DIR": Variable(None, _text, "a folder"),
    "SERVER_HOST": Variable("127.0.0.1", _text, "an address of this machine"),
    "SERVER_PORT": Variable("5001", _PORT.parse, _PORT.expected),
    "HEALTH_PORT": Variable("5000", _PORT.parse, _PORT.expected),
    "SEPERATE_HEALTH_ENDPOINT": Variable("false", _flag, _TRUE_OR_FALSE),
    "WORKER_COUNT": Variable("1", _whole(1), "a whole number above zero"),
    "WORKER_TIMEOUT": Variable("300", _whole(0), "a number of seconds, or 0 for none"),
    "WORKER_PRELOAD": Variable("false", _flag, _TRUE_OR_FALSE),
    "GRACEFUL_TIMEOUT": Variable("30", _whole(1), "a number of seconds above zero"),
    "KEEP_ALIVE": Variable("75", _whole(1), "a number of seconds above zero"),
    "GEVENT_MONKEY_PATCH": Variable("true", _flag, _TRUE_OR_FALSE),
    "CONCURRENT_RUNS": Variable(None, _one_of("triton", "always", "never"), "'triton', 'always' or 'never'"),
    "SCORING_TIMEOUT_MS": Variable("3600000", _whole(1), "a number of milliseconds above zero"),
    "MAX_REQUEST_BYTES": Variable("104857600", _whole(1), "a number of bytes above zero"),
    "MAX_CONCURRENT_REQUESTS": Variable("1024", _whole(1), "a whole number above zero"),
    "AML_CORS_ORIGINS": Variable("", _origins, "origins, with commas between them"),
    "SERVICE_NAME": Variable("ML service", _text, "a name"),
    "SERVICE_VERSION": Variable("1.0", _text, "a version"),
    "SERVICE_PATH_PREFIX": Variable("", _text, "a path"),
    "SERVER_VERSION_LOG_RESPONSE_ENABLED": Variable("true", _flag, _TRUE_OR_FALSE),
    "AZUREML_LOG_LEVEL": Variable("INFO", _level, f"one of {', '.join(LOG_LEVELS)}"),
    "TRITON_HTTP_URL": Variable(None, _text, "Triton's URL, such as http://127.0.0.1:8000"),
    "TRITON_HTTP_PORT": _PORT,
    "TRITON_GRPC_PORT": _PORT,
    "TRITON_MODELS": Variable("", _models, "the models that the script needs, such as 'digits:1,bidaf-9:2'"),
    "TRITON_PROBE_FILE": Variable(None, _text, "a file of `serving.probing.probe`, whose models the script needs"),
    "TRITON_WAIT_SECONDS": Variable("120", _whole(0), "a number of seconds"),
    "TRACES_URL": Variable(None, _text, "the URL of a collector, such as http://127.0.0.1:4318/v1/traces"),
    "COLLECT_URL": Variable(None, _text, "a folder, or a URL that fsspec knows"),
    "COLLECT_FORMAT": Variable("jsonl", _one_of("jsonl", "parquet"), "'jsonl' or 'parquet'"),
    "COLLECT_SAMPLE": Variable("1.0", _share, "a share of the requests, above 0 and up to 1"),
    "COLLECT_MAX_RECORD_BYTES": Variable("65536", _whole(2, MAX_RECORD_BYTES), f"up to {MAX_RECORD_BYTES} bytes"),
    "COLLECT_MAX_DAY_BYTES": Variable(str(1 << 30), _whole(1), "a number of bytes above zero"),
    "COLLECT_SECONDS": Variable("60", _whole(1), "a number of seconds above zero"),
    "COLLECT_REDACT": Variable(None, _function, "a function, as in 'module:function'"),
}


def read(environment: MutableMapping[str, str]) -> Settings:
    """Read the settings from the environment.

    Args:
        environment: the variables. First it gets the keys of a `config.json` that it lacks.

    Raises:
        SettingsError: values that cannot be used; it names all of them at once.
    """
    file = _add_config_file(environment)
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, variable in VARIABLES.items():
        text = environment.get(name) or variable.default
        try:
            values[name] = None if text is None else variable.parse(text)
        except ValueError:
            problems.append(
                f"{name}: expected {variable.expected}, received {text!r}. Correct the environment variable."
            )
    if values.get("TRACES_URL") is not None and not _can_trace():
        problems.append(
            f"TRACES_URL: traces need the packages {' and '.join(_FOR_TRACES)}. Install them, or remove the "
            "environment variable."
        )
    if problems:
        raise SettingsError(problems)
    app_root = Path(values["AML_APP_ROOT"] or Path.cwd()).absolute()
    source = values["AZUREML_SOURCE_DIRECTORY"]
    probed_url, models = _probed(values["TRITON_PROBE_FILE"])
    url = values["TRITON_HTTP_URL"]
    if url is None and values["TRITON_HTTP_PORT"] is not None:
        url = f"http://127.0.0.1:{values['TRITON_HTTP_PORT']}"
    return Settings(
        app_root=app_root,
        source_directory=app_root / source if source else None,
        entry_script=values["AZUREML_ENTRY_SCRIPT"],
        config_file=file,
        model_dir=values["AZUREML_MODEL_DIR"],
        host=values["SERVER_HOST"],
        port=values["SERVER_PORT"],
        health_port=values["HEALTH_PORT"] if values["SEPERATE_HEALTH_ENDPOINT"] else None,
        worker_count=values["WORKER_COUNT"],
        worker_timeout=values["WORKER_TIMEOUT"],
        preload=values["WORKER_PRELOAD"],
        graceful_timeout=values["GRACEFUL_TIMEOUT"],
        keep_alive=values["KEEP_ALIVE"],
        monkey_patch=values["GEVENT_MONKEY_PATCH"],
        concurrent_runs=values["CONCURRENT_RUNS"],
        scoring_timeout_ms=values["SCORING_TIMEOUT_MS"],
        max_request_bytes=values["MAX_REQUEST_BYTES"],
        max_concurrent_requests=values["MAX_CONCURRENT_REQUESTS"],
        cors_origins=values["AML_CORS_ORIGINS"],
        service_name=values["SERVICE_NAME"],
        service_version=values["SERVICE_VERSION"],
        service_path_prefix=values["SERVICE_PATH_PREFIX"],
        send_server_version=values["SERVER_VERSION_LOG_RESPONSE_ENABLED"],
        log_level=values["AZUREML_LOG_LEVEL"],
        triton_url=url or probed_url,
        triton_models=values["TRITON_MODELS"] or models,
        triton_wait=values["TRITON_WAIT_SECONDS"],
        traces_url=values["TRACES_URL"],
        collection=_collection(values),
    )


def _can_trace() -> bool:
    """Tell whether the packages of `serving.spans` are installed."""
    try:
        return all(importlib.util.find_spec(module) for module in _FOR_TRACES.values())
    except ModuleNotFoundError:
        return False


def _probed(file: str | None) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """Read Triton's URL and the models from a probe file."""
    if file is None:
        return None, ()
    try:
        triton = json.loads(Path(file).read_text(encoding="utf-8"))["triton"]
        return triton["url"], tuple((model["name"], str(model["version"])) for model in triton["models"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"TRITON_PROBE_FILE: expected a file of `serving.probing.probe` with Triton in it, received {file!r}"
        raise SettingsError([f"{problem}: {type(error).__name__}: {error}"]) from None


def _collection(values: Mapping[str, Any]) -> Collection | None:
    if values["COLLECT_URL"] is None:
        return None
    return Collection(
        url=values["COLLECT_URL"],
        format=values["COLLECT_FORMAT"],
        sample=values["COLLECT_SAMPLE"],
        max_record_bytes=values["COLLECT_MAX_RECORD_BYTES"],
        max_day_bytes=values["COLLECT_MAX_DAY_BYTES"],
        seconds=values["COLLECT_SECONDS"],
        redact=values["COLLECT_REDACT"],
    )


def config_file(environment: Mapping[str, str]) -> Path | None:
    """Find the file of AZUREML_CONFIG_FILE, or a `config.json` in AML_APP_ROOT or beside the entry script.

    Raises:
        SettingsError: AZUREML_CONFIG_FILE names a file that does not exist.
    """
    named = environment.get("AZUREML_CONFIG_FILE")
    if named and not Path(named).is_file():
        raise SettingsError([f"AZUREML_CONFIG_FILE: there is no file {named}. Correct it, or --config_file."])
    candidates = [Path(named)] if named else []
    app_root = Path(environment.get("AML_APP_ROOT") or Path.cwd())
    candidates.append(app_root / "config.json")
    if environment.get("AZUREML_ENTRY_SCRIPT"):
        candidates.append((app_root / environment["AZUREML_ENTRY_SCRIPT"]).parent / "config.json")
    return next((path for path in candidates if path.is_file() and path.stat().st_size), None)


def _add_config_file(environment: MutableMapping[str, str]) -> Path | None:
    path = config_file(environment)
    if path is None:
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError([f"{path}: expected a configuration file in JSON: {error}"]) from None
    if not isinstance(content, dict):
        raise SettingsError([f"{path}: expected a JSON object with environment variables as its keys"])
    for name, value in content.items():
        if name in VARIABLES and value is not None:
            environment.setdefault(name, str(value).lower() if isinstance(value, bool) else str(value))
    return path


def export(settings: Settings, environment: MutableMapping[str, str] = os.environ) -> None:
    """Set the variables that a script may read, where nobody set them."""
    environment.setdefault("AML_APP_ROOT", str(settings.app_root))
    environment.setdefault("WORKER_COUNT", str(settings.worker_count))
    if settings.triton_url:
        environment.setdefault("TRITON_HTTP_URL", settings.triton_url)
