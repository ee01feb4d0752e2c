"""The environment's variables as a service gets them."""

from pathlib import Path

from settings.schema import Settings

__all__ = ["COLLECT", "folder_of", "served_variables"]

COLLECT = "COLLECT_URL"
"""The variable that says where collected data go: an fsspec URL, or a folder."""


def served_variables(settings: Settings) -> dict[str, str]:
    """Give the variables as a service of this machine gets them: a relative folder starts at the project."""
    variables = dict(settings.environment.variables)
    if folder := folder_of(variables.get(COLLECT, "")):
        variables[COLLECT] = str((settings.project / Path(folder).expanduser()).resolve())
    return variables


def folder_of(url: str) -> str:
    """Tell the folder of this machine that an fsspec URL names; "" where it names something else."""
    scheme, separator, rest = url.rpartition("::")[2].partition("://")
    if not separator:
        return url
    return rest if scheme in ("file", "local") else ""
