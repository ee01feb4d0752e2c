"""A service's answer to one question, as a resource: asked by `up`, kept in state, asked again when an input changes.

The provider lies in a module of its own, since the state refers to it by the module's name, and it holds nothing.
"""

import json
import urllib.error
import urllib.request
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

__all__ = ["Answer"]

TIMEOUT = 30  # seconds
INPUTS = ("scoring_uri", "key", "question", "context")


class _AnswerProvider(ResourceProvider):
    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("answer", {**props, "answer": _ask(props)})

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=any(_olds.get(name) != _news.get(name) for name in INPUTS))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult({**_news, "answer": _ask(_news)})


def _ask(props: dict[str, Any]) -> str:
    body = json.dumps({"query": props["question"], "context": props["context"]}).encode()
    headers = {"Authorization": f"Bearer {props['key']}", "Content-Type": "application/json"}
    request = urllib.request.Request(props["scoring_uri"], body, headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return " ".join(json.load(response))
    except urllib.error.HTTPError as error:
        said = error.read(500).decode(errors="replace")
        raise RuntimeError(f"{props['scoring_uri']} answered {error.code}: {said}") from None
    except OSError as error:
        raise RuntimeError(f"{props['scoring_uri']} does not answer: {error}; is the service's stack up?") from None


class Answer(Resource, module="consumer", name="Answer"):
    """The words of `context` with which the service answers `question`."""

    answer: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        scoring_uri: pulumi.Input[str],
        key: pulumi.Input[str],
        question: pulumi.Input[str],
        context: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {"scoring_uri": scoring_uri, "key": key, "question": question, "context": context}
        super().__init__(_AnswerProvider(), name, {**inputs, "answer": None}, opts)
