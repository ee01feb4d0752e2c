"""The description of the service at `/swagger.json`, in versions 2, 3 and 3.1: from the user's file or from run()."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from typing import Any

from serving.errors import RequestError
from serving.script.answer_json import to_json
from serving.script.entry_script import InputKind, Script, ScriptError
from serving.settings import Settings

Document = dict[str, Any]

# The names of each version, and the files in AML_APP_ROOT in which a user may write it.
_ALIASES = {"2": ("2", "2.0"), "3": ("3", "3.0"), "3.1": ("3.1",)}
_FILES = {"2": ("swagger.json", "swagger2.json"), "3": ("swagger3.json",), "3.1": ("swagger3.1.json",)}
_UNTYPED = {"type": "object", "example": {}}


class SwaggerError(RequestError):
    """A version of the description that does not exist."""

    def __init__(self, message: str) -> None:
        super().__init__(404, message)


class Swagger:
    """The descriptions of one script, one for each version."""

    def __init__(self, script: Script, settings: Settings) -> None:
        """Read or make the descriptions.

        Raises:
            ScriptError: a user's file is no JSON object.
        """
        self._bodies: dict[str, bytes] = {}
        self._prepared: list[str] = []
        for version, aliases in _ALIASES.items():
            document = _from_file(version, settings) or _generate(version, script, settings)
            if document is not None:
                self._prepared.append(version)
                self._bodies.update(dict.fromkeys(aliases, to_json(document)))

    def document(self, version: str) -> bytes:
        """Give the description in a version, as JSON.

        Raises:
            SwaggerError: there is no such version, or not for this script.
        """
        supported = ", ".join(self._prepared)
        if not any(version in aliases for aliases in _ALIASES.values()):
            raise SwaggerError(f"Swagger version [{version}] is not valid. Supported versions: [{supported}].")
        if version not in self._bodies:
            raise SwaggerError(
                f"Swagger version [{version}] is not supported for the scoring script. "
                f"Supported swagger versions: [{supported}]."
            )
        return self._bodies[version]


def _from_file(version: str, settings: Settings) -> Document | None:
    for name in _FILES[version]:
        path = settings.app_root / name
        if not path.is_file():
            continue
        expected = f"{path}: expected a description of the service as a JSON object"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ScriptError(f"{expected}: {error}") from None
        if not isinstance(document, dict):
            raise ScriptError(f"{expected}, received {_excerpt(document)}")
        return document
    return None


def _excerpt(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _generate(version: str, script: Script, settings: Settings) -> Document | None:
    service_input: Document = _UNTYPED
    service_output: Document = _UNTYPED
    if script.kind is InputKind.OBJECT:
        schemas = importlib.import_module("inference_schema.schema_util")
        # Lists of mixed types, for instance, have no form in Swagger 2.
        if not any(alias in schemas.get_supported_versions(script.run) for alias in _ALIASES[version]):
            return None
        service_input, service_output = schemas.get_input_schema(script.run), schemas.get_output_schema(script.run)
    prefix = f"/{settings.service_path_prefix.strip('/')}" if settings.service_path_prefix else ""
    if version == "2":
        return _version_2(settings, prefix, service_input, service_output)
    return _version_3("3.1.0" if version == "3.1" else "3.0.3", settings, prefix, service_input, service_output)


def _info(settings: Settings) -> Document:
    return {
        "title": settings.service_name,
        "description": f"API specification for the Azure Machine Learning service {settings.service_name}",
        "version": settings.service_version,
    }


def _paths(prefix: str, operations: Mapping[str, Document]) -> Document:
    return {f"{prefix}{path}": {"post" if path == "/score" else "get": operations[path]} for path in operations}


_BEARER = {"type": "apiKey", "name": "Authorization", "in": "header", "description": "For example: Bearer abc123"}
_ERROR = {"type": "object", "properties": {"message": {"type": "string"}}}
_TEXTS = {
    "/": (
        "ServiceHealthCheck",
        "Simple health check endpoint to ensure the service is up at any given point.",
        "If service is up and running, this response will be returned with the content 'Healthy'",
    ),
    "/score": (
        "RunMLService",
        "Run web service's model and get the prediction output",
        "The service processed the input correctly and provided a result prediction, if applicable.",
    ),
    "/swagger.json": ("GetSwaggerSpec", "Get the Swagger specification.", "The Swagger specification."),
}
_INPUT_TEXT = "The input payload for executing the real-time machine learning service."
_FAILED = "The service failed to execute due to an error."


def _version_2(settings: Settings, prefix: str, service_input: Document, service_output: Document) -> Document:
    error = {"description": _FAILED, "schema": {"$ref": "#/definitions/ErrorResponse"}}
    answers: dict[str, Document] = {
        "/": {"schema": {"type": "string"}, "examples": {"application/json": "Healthy"}},
        "/score": {"schema": {"$ref": "#/definitions/ServiceOutput"}},
        "/swagger.json": {"schema": {"type": "string"}},
    }
    extras: dict[str, Document] = {
        "/": {},
        "/score": {
            "security": [{"Bearer": []}],
            "parameters": [
                {
                    "name": "serviceInputPayload",
                    "in": "body",
                    "description": _INPUT_TEXT,
                    "schema": {"$ref": "#/definitions/ServiceInput"},
                }
            ],
        },
        "/swagger.json": {
            "parameters": [{"name": "version", "in": "query", "required": False, "type": "integer", "enum": [2, 3]}]
        },
    }
    operations = {
        path: {
            "operationId": operation,
            "description": description,
            **extras[path],
            "responses": {"200": {"description": success, **answers[path]}, "default": error},
        }
        for path, (operation, description, success) in _TEXTS.items()
    }
    return {
        "swagger": "2.0",
        "info": _info(settings),
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {"Bearer": _BEARER},
        "paths": _paths(prefix, operations),
        "definitions": {"ServiceInput": service_input, "ServiceOutput": service_output, "ErrorResponse": _ERROR},
    }


def _version_3(
    openapi: str, settings: Settings, prefix: str, service_input: Document, service_output: Document
) -> Document:
    error = {
        "description": _FAILED,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}},
    }
    answers: dict[str, Document] = {
        "/": {"text/plain": {"schema": {"type": "string", "example": "Healthy"}}},
        "/score": {"application/json": {"schema": {"$ref": "#/components/schemas/ServiceOutput"}}},
        "/swagger.json": {"text/plain": {"schema": {"type": "string"}}},
    }
    extras: dict[str, Document] = {
        "/": {},
        "/score": {
            "security": [{"Bearer": []}],
            "requestBody": {
                "description": _INPUT_TEXT,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ServiceInput"}}},
            },
        },
        "/swagger.json": {
            "parameters": [
                {"name": "version", "in": "query", "required": False, "schema": {"type": "integer", "enum": [2, 3]}}
            ]
        },
    }
    operations = {
        path: {
            "operationId": operation,
            "description": description,
            **extras[path],
            "responses": {"200": {"description": success, "content": answers[path]}, "default": error},
        }
        for path, (operation, description, success) in _TEXTS.items()
    }
    return {
        "openapi": openapi,
        "info": _info(settings),
        "security": [{"Bearer": []}],
        "paths": _paths(prefix, operations),
        "components": {
            "schemas": {"ServiceInput": service_input, "ServiceOutput": service_output, "ErrorResponse": _ERROR},
            "securitySchemes": {"Bearer": _BEARER},
        },
    }
