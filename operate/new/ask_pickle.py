"""Load a pickle and ask it, in a process of the environment that will serve it; prints the answer as a line of JSON.

    python -I ask_pickle.py <file> pickle|joblib

The answer has `refused` where nothing could serve the pickle. Otherwise it has the `kind` of its rows, and `data` and
`response` where the pickle answers random input, or `why` it does not.
"""

import importlib
import json
import sys
import warnings
from typing import Any


def main(file: str, way: str) -> dict[str, Any]:
    """Load the pickle in a file, by the module `pickle` or `joblib`, and ask it."""
    try:
        with open(file, "rb") as stream:  # noqa: PTH123 - as joblib takes it
            model = importlib.import_module(way).load(stream)
    except BaseException as error:  # whatever its code raises
        return {"refused": f"it does not load: {_words(error)}"}
    if not callable(getattr(model, "predict", None)):
        return {"refused": f"it holds a {type(model).__name__}, which has no predict()"}
    kind, asked, data = _random_rows(model)
    try:
        response = {"predictions": _listed(model.predict(asked))}
    except Exception as error:
        return {"kind": kind if kind == "table" else "numbers", "why": f"it takes no random input: {_words(error)}"}
    answer: dict[str, Any] = {"kind": kind, "probabilities": False}
    if callable(getattr(model, "predict_proba", None)):
        try:
            response["probabilities"] = _listed(model.predict_proba(asked))
            answer["probabilities"] = True
        except Exception:
            pass  # as a support vector machine trained without them
    try:
        json.dumps(response, allow_nan=False)
    except (TypeError, ValueError):
        return {**answer, "why": "its answer to random input is no JSON"}
    return {**answer, "data": data, "response": response}


def _random_rows(model: Any) -> tuple[str, Any, Any]:
    """Make two rows: their kind, the rows as the model takes them, and as JSON."""
    numpy = importlib.import_module("numpy")
    count, columns = getattr(model, "n_features_in_", None), getattr(model, "feature_names_in_", None)
    if not count:
        texts = ["the red fox reads", "an old book at home"]
        return "texts", texts, texts
    values = numpy.random.default_rng(20201).random((2, int(count))).round(3)
    if columns is None:
        return "numbers", values, values.tolist()
    table = importlib.import_module("pandas").DataFrame(values, columns=list(columns))
    return "table", table, table.to_dict("records")


def _listed(answer: Any) -> Any:
    return importlib.import_module("numpy").asarray(answer).tolist()


def _words(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.stdout.write(f"\n{json.dumps(main(*sys.argv[1:]))}\n")
