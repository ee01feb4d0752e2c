"""The text of an entry script that loads a pickle."""

from __future__ import annotations

import json

__all__ = ["pickle_text"]


def pickle_text(file: str, kind: str, *, by_joblib: bool, probabilities: bool) -> str:
    """Write the script.

    Args:
        file: The pickle's name.
        kind: What a row is: `numbers`, `table` (an object with a value for each column) or `texts`.
        by_joblib: Whether joblib loads it.
        probabilities: Whether the script answers with `predict_proba` too.
    """
    standard = ["import json", "import os", *([] if by_joblib else ["import pickle"]), "from pathlib import Path"]
    packages = [*(["import joblib"] if by_joblib else []), "import numpy as np"]
    packages += ["import pandas"] if kind == "table" else []
    answered = ["predictions", *(["probabilities"] if probabilities else [])]
    reading, example = _ROWS[kind]
    return _TEXT.format(
        shown=file.replace("\\", "?").replace('"', "?"),
        example=example,
        answered=" and ".join(f"`{name}`" for name in answered),
        standard="\n".join(standard),
        packages="\n".join(packages),
        file=json.dumps(file),
        load="joblib.load(file)" if by_joblib else "pickle.loads(file.read_bytes())",
        reading=reading,
        answers="".join(f'        "{name}": np.asarray(model.{_METHODS[name]}(rows)).tolist(),\n' for name in answered),
    )


_METHODS = {"predictions": "predict", "probabilities": "predict_proba"}
_ROWS = {
    "numbers": (
        """\
    try:
        rows = np.array(rows, dtype=float)
    except (TypeError, ValueError):
        rows = np.empty(0)
    if rows.ndim != 2:
        raise ValueError('expected JSON as in {"data": [[5.1, 3.5], [6.6, 3.0]]}, a list of numbers for each row')
    features = getattr(model, "n_features_in_", rows.shape[1])
    if rows.shape[1] != features:
        raise ValueError(f"expected {features} numbers in each row of data; found {rows.shape[1]}")
""",
        '{"data": [[5.1, 3.5, ...], ...]}',
    ),
    "table": (
        """\
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError('expected JSON as in {"data": [{"<column>": 5.1, ...}, ...]}, an object for each row')
    missing = [name for name in model.feature_names_in_ if any(name not in row for row in rows)]
    if missing:
        raise ValueError(f"expected each column in each row of data; missing are {', '.join(missing)}")
    rows = pandas.DataFrame(rows, columns=list(model.feature_names_in_))
""",
        '{"data": [{"<column>": 5.1, ...}, ...]}',
    ),
    "texts": (
        """\
    if not isinstance(rows, list) or not rows or not all(isinstance(row, str) for row in rows):
        raise ValueError('expected JSON as in {"data": ["a text", "another"]}')
""",
        '{"data": ["a text", ...]}',
    ),
}

_TEXT = '''\
"""Entry script: each worker loads the pickle `{shown}` and asks it.

    {example}

answers with {answered}, one for each row.
"""

{standard}

{packages}


def init():
    """Load the pickle of the service from the folder that Azure's convention names."""
    global model
    file = Path(os.environ["AZUREML_MODEL_DIR"]) / {file}
    model = {load}


def run(raw_data):
    """Predict; ValueError, which the client gets as 400, where the request has no such rows."""
    request = json.loads(raw_data)
    rows = request.get("data") if isinstance(request, dict) else None
{reading}    return {{
{answers}    }}
'''
