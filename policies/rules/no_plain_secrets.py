"""No secret stands in a variable or a URL: whoever lists processes, containers or pods reads it there."""

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from pydantic import Field

from common.part import Part
from common.redaction import credential_in
from policies import objects, properties
from policies.rule import Level, Rule, Violation
from policies.stack import Mark, Resource, Stack

__all__ = ["RULE", "Options"]

# What the makers of keys put at their beginning, so that they are found.
_KEYS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "a key of AWS": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "a key of Azure": r"\b(AccountKey|SharedAccessKey|SharedAccessSignature)=",
    "a key of Google": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "a token of GitHub": r"\b(gh[pousr]_|github_pat_)[0-9A-Za-z_]{20,}",
    "a token of Hugging Face": r"\bhf_[0-9A-Za-z]{20,}\b",
    "a token of Slack": r"\bxox[abeprs]-[0-9A-Za-z-]{10,}",
    "a JSON Web Token": r"\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.",
}


class Options(Part):
    """Which names of variables tell of a secret."""

    names: list[str] = Field(
        default=[
            *("*TOKEN", "*PASSWORD", "*PASSWD", "*SECRET", "*SECRET_KEY", "*API_KEY", "*APIKEY", "*ACCESS_KEY"),
            *("*ACCOUNT_KEY", "*PRIVATE_KEY", "*CREDENTIAL", "*CREDENTIALS", "*CONNECTION_STRING"),
        ],
        description="patterns of variables that hold secrets, in capitals",
    )
    allowed: list[str] = Field(
        default=["GOOGLE_APPLICATION_CREDENTIALS"],
        description="patterns of variables that hold none, such as the path of a file",
    )


def _check(resource: Resource, stack: Stack, options: Options) -> Iterator[Violation]:
    on_pods = objects.is_ours(resource)
    for name, value in _variables(resource):
        if any(fnmatchcase(name.upper(), pattern) for pattern in options.allowed):
            continue
        if found := _secret_in(name, value, options):
            instead = (
                "put it into a Kubernetes Secret and name that in nodePool.credentialsSecret"
                if on_pods
                else "put it into a file that the script reads, or use the machine's own identity"
            )
            yield Violation(
                wrong=f"has {found} in the variable {name}, in plain text",
                expected="no secret there: whoever lists processes, containers or pods reads it",
                fix=f"remove environment.variables.{name} from {stack.file}, and {instead}",
            )
    for setting, text in properties.texts_with_urls(resource):
        if found := credential_in(text):
            yield Violation(
                wrong=f"has {found} in a URL of its {setting}, in plain text",
                expected="no secret there: the state and its history show it",
                fix=f"remove it from {setting} in {stack.file}, and say it to the store's or the index's own library",
            )


def _variables(resource: Resource) -> Iterator[tuple[str, Any]]:
    """Yield the variables of a service or of a pod, each once."""
    found = properties.variables(resource)
    if isinstance(found, Mapping):
        yield from found.items()
    elif found is Mark.HIDDEN:
        yield "*", found
    yield from {name: value for each in objects.containers(resource) for name, value in each.variables.items()}.items()


def _secret_in(name: str, value: Any, options: Options) -> str:
    """Say what is secret about a variable; "" where nothing seems to be."""
    if value is Mark.HIDDEN:
        return "a secret of Pulumi's"
    if not isinstance(value, str) or not value:
        return ""
    for called, shape in _KEYS.items():
        if re.search(shape, value):
            return called
    if found := credential_in(value):
        return f"a URL with {found}"
    return "a secret, by its name," if any(fnmatchcase(name.upper(), pattern) for pattern in options.names) else ""


RULE = Rule(
    name="no-plain-secrets",
    description="No setting holds a secret in plain text.",
    level=Level.MANDATORY,
    check=_check,
    options=Options,
)
