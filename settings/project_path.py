"""The paths of a stack's file: absolute once they are read, with the text that the file has."""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema
from typing_extensions import Self

__all__ = ["BundleFolder", "ProjectPath", "RegistryUrl", "checked_path"]


def checked_path(value: str) -> str:
    """Give a path back that a file system can hold.

    Args:
        value: The text of the stack's file.

    Raises:
        ValueError: No file system can hold it; the text says what pydantic expected.
    """
    if not value.isprintable():
        raise ValueError("a path of printable characters")
    if len(value.encode()) > 4095 or any(len(part.encode()) > 255 for part in value.split("/")):
        raise ValueError("a path of at most 4,095 bytes, 255 between two '/'")
    return value


class ProjectPath(str):
    """A path of the stack's file, made absolute: a relative path starts at the project.

    pydantic takes the project's folder from the context of the validation, or else the working directory. `written` is
    the text of the file: messages show it, and a dump of the settings has it, so that the dump stays the same when the
    project moves.
    """

    LEAST_LENGTH: ClassVar[int | None] = None
    """Of the written text: pydantic would hold a length of the field against the absolute path."""

    written: str

    def __new__(cls, path: str, written: str | None = None) -> Self:
        """Make the path; without `written`, the stack's file has the same text."""
        self = super().__new__(cls, path)
        self.written = path if written is None else written
        return self

    @classmethod
    def at(cls, project: Path, written: str) -> Self:
        """Locate what the stack's file writes. Links stay links, and `..` stays."""
        return cls(str(project / written), written)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(text: str, info: ValidationInfo) -> ProjectPath:
            return cls.at(info.context or Path.cwd(), checked_path(text))

        return core_schema.with_info_after_validator_function(
            read,
            core_schema.str_schema(min_length=cls.LEAST_LENGTH),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda path: path.written, return_schema=core_schema.str_schema()
            ),
        )


class BundleFolder(ProjectPath):
    """The folder of a bundle to register."""

    LEAST_LENGTH = 1


class RegistryUrl(ProjectPath):
    """The model registry: an fsspec URL as the stack's file writes it, or the absolute path of a folder."""

    @classmethod
    def at(cls, project: Path, written: str) -> Self:
        """Locate the registry: a URL stays as it is, links and `..` of a folder are resolved."""
        return cls(written if "://" in written else str((project / written).resolve()), written)

    @property
    def is_folder(self) -> bool:
        """Tell whether the registry is a folder of this machine."""
        return "://" not in self
