"""The packages that a pickle names, and the answers of the program that asks one."""

import bz2
import gzip
import json
import pickle
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from operate.new.ask_pickle import main
from operate.new.pickle_text import pickle_text
from operate.new.pickles import packages_of

ROWS, CLASSES = np.random.default_rng(1).random((20, 3)), ["low", "high"] * 10
SKLEARN = f"scikit-learn=={version('scikit-learn')}"


@pytest.fixture
def classifier() -> Any:
    from sklearn.linear_model import LogisticRegression  # here: every worker imports this file, one runs it

    return LogisticRegression().fit(ROWS, CLASSES)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_names_the_packages_and_the_version_that_wrote_it(
    tmp_path: Path, classifier: Any, protocol: int
) -> None:
    file = tmp_path / "m.pkl"
    file.write_bytes(pickle.dumps(classifier, protocol=protocol))
    assert packages_of(file) == [SKLEARN]


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3)])
def test_joblib_loads_what_joblib_wrote(tmp_path: Path, classifier: Any, compress: Any) -> None:
    joblib.dump(classifier, tmp_path / "m.pkl", compress=compress)
    assert packages_of(tmp_path / "m.pkl") == ["joblib", SKLEARN]


@pytest.mark.parametrize(
    "content",
    [b"", b"x", gzip.compress(b"x")[:9], bz2.compress(b"x"), b"c" * 40],
    ids=["empty", "short", "half-a-gzip", "bz2", "text"],
)
def test_no_pickle_names_no_packages(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.pkl").write_bytes(content)
    assert set(packages_of(tmp_path / "m.pkl")) <= {"joblib"}


def asked(folder: Path, model: Any, way: str = "pickle") -> dict[str, Any]:
    (folder / "m.pkl").write_bytes(pickle.dumps(model))
    return main(str(folder / "m.pkl"), way)


def test_a_classifier_of_numbers_answers_with_classes_and_probabilities(tmp_path: Path, classifier: Any) -> None:
    found = asked(tmp_path, classifier)
    assert (found["kind"], found["probabilities"], np.shape(found["data"])) == ("numbers", True, (2, 3))
    assert found["response"]["predictions"] == classifier.predict(found["data"]).tolist()
    assert np.shape(found["response"]["probabilities"]) == (2, 2)


def test_a_classifier_without_probabilities_answers_with_classes(tmp_path: Path) -> None:
    from sklearn.svm import SVC

    assert asked(tmp_path, SVC().fit(ROWS, CLASSES))["response"].keys() == {"predictions"}


def test_a_classifier_of_texts_is_asked_texts(tmp_path: Path) -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    found = asked(tmp_path, make_pipeline(CountVectorizer(), MultinomialNB()).fit(["a red fox", "old"], [0, 1]))
    assert found["kind"] == "texts"
    assert found["response"]["predictions"] == [0, 1]


def test_what_predicts_nothing_is_refused(tmp_path: Path) -> None:
    assert asked(tmp_path, {"weights": 1}) == {"refused": "it holds a dict, which has no predict()"}


def test_what_does_not_load_is_refused_in_a_line_of_json(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(b"cnowhere\nThing\n.")
    program = Path(__file__).parents[3] / "operate" / "new" / "ask_pickle.py"
    done = subprocess.run(
        [sys.executable, "-I", str(program), str(tmp_path / "m.pkl"), "pickle"],
        capture_output=True,
        text=True,
        check=True,
    )
    refused = json.loads(done.stdout.splitlines()[-1])["refused"]
    assert refused == "it does not load: ModuleNotFoundError: No module named 'nowhere'"


@pytest.mark.parametrize("kind", ["numbers", "texts", "table"])
@pytest.mark.parametrize("by_joblib", [True, False])
def test_the_script_refuses_other_rows_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, by_joblib: bool, classifier: Any
) -> None:
    (tmp_path / 'odd "name.pkl').write_bytes(pickle.dumps(classifier))
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    if kind == "table":
        monkeypatch.setitem(sys.modules, "pandas", type(sys)("pandas"))
    script: dict[str, Any] = {}
    text = pickle_text('odd "name.pkl', kind, by_joblib=by_joblib, probabilities=True)
    exec(compile(text, "score.py", "exec"), script)
    script["init"]()
    for request in ("3", "{}", '{"data": 3}', '{"data": [["x"]]}', '{"data": [[1], [2, 3]]}'):
        with pytest.raises(ValueError, match="expected"):
            script["run"](request)
    if kind == "numbers":
        assert script["run"](json.dumps({"data": ROWS.tolist()})).keys() == {"predictions", "probabilities"}
