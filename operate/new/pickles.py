"""An entry script that loads a pickle: the packages that it needs, its text, and its golden request.

A pickle does not say which input it takes. So its environment is built on this machine, as `make check` and `make up`
would build it, and a process in it loads the pickle and asks it.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from environment.curated_clone import declared_environment
from environment.venv import BuildError, build
from operate.new.errors import NewStackError
from operate.new.pickle_text import pickle_text
from operate.new.scripts import MOST_BYTES, Script

__all__ = ["CURATED", "packages_of", "pickle_script"]

CURATED = "AzureML-Triton"
_ASKING = Path(__file__).with_name("ask_pickle.py")
_SECONDS = 300
_PACKAGES = {
    "catboost": "catboost",
    "category_encoders": "category-encoders",
    "cloudpickle": "cloudpickle",
    "dill": "dill",
    "imblearn": "imbalanced-learn",
    "joblib": "joblib",
    "lightgbm": "lightgbm",
    "pandas": "pandas",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "statsmodels": "statsmodels",
    "xgboost": "xgboost",
}
"""The pip packages of modules that a pickle names."""
_MODULE = re.compile(rb"(?:c|\x8c.|X.\0\0\0)([A-Za-z_]\w*)(?:\.[\w.]+)?(?:\n|[^\w. ])", re.DOTALL)
_SKLEARN_VERSION = re.compile(
    rb"_sklearn_version(?:\x94|q.|r.{4})?(?:\x8c.|X.{4})(\d+(?:\.\d+)+(?:\.?(?:rc|dev|post)\d+)?)", re.DOTALL
)
_COMPRESSED: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b", gzip.decompress),
    (b"BZh", bz2.decompress),
    (b"\xfd7zXZ", lzma.decompress),
    (b"\x78", zlib.decompress),
)


def packages_of(file: Path) -> list[str]:
    """List the pip packages that a pickle names, without running it; scikit-learn with the version that wrote it."""
    data = _content(file)
    modules = {found.decode() for found in _MODULE.findall(data)}
    packages = {_PACKAGES[module] for module in modules if module in _PACKAGES}
    if b"feature_names_in_" in data:  # trained on a table, whose columns it wants by name
        packages.add("pandas")
    if _by_joblib(file, data):
        packages.add("joblib")
    version = _SKLEARN_VERSION.search(data)
    return sorted(
        f"{package}=={version[1].decode()}" if package == "scikit-learn" and version else package
        for package in packages
    )


def pickle_script(file: Path, packages: list[str], name: str, environments: Path, say: Callable[[str], None]) -> Script:
    """Write the script that loads a pickle, and ask the pickle for its golden request.

    Args:
        file: The pickle.
        packages: The pip packages of its environment.
        name: The name of its environment.
        environments: The folder of this machine's environments.
        say: Called with each line worth showing.

    Raises:
        NewStackError: The pickle does not load with these packages, or is nothing that predicts.
        ResolutionError: The packages do not go together.
    """
    by_joblib = "joblib" in packages
    environment = declared_environment(name, CURATED, packages) if packages else declared_environment(CURATED, None, ())
    try:
        built = build(environment, root=environments, triton=False, progress=say)
    except BuildError as error:
        return _script(file.name, by_joblib, {}, why=f"its environment cannot be built on this machine: {error}")
    asked = _ask(file, built.python, by_joblib, packages)
    return _script(file.name, by_joblib, asked, why=asked.get("why", ""))


def _content(file: Path) -> bytes:
    data = file.read_bytes()
    for magic, decompress in _COMPRESSED:
        if data.startswith(magic):
            try:
                return decompress(data)
            except (OSError, EOFError, lzma.LZMAError, zlib.error):
                break
    return data


def _by_joblib(file: Path, data: bytes) -> bool:
    compressed = any(file.read_bytes()[:5].startswith(magic) for magic, _ in _COMPRESSED)
    return file.suffix == ".joblib" or compressed or b"joblib.numpy_pickle" in data


def _ask(file: Path, python: Path, by_joblib: bool, packages: list[str]) -> dict[str, Any]:
    command = [str(python), "-I", str(_ASKING), str(file.resolve()), "joblib" if by_joblib else "pickle"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {"why": f"it did not answer within {_SECONDS} s"}
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        answer = {"refused": f"Python ended with exit code {done.returncode}: {done.stderr.strip()[-300:]}"}
    if "refused" in answer:
        have = f"Python packages {', '.join(packages)} and NumPy 1.26" if packages else "NumPy 1.26 alone"
        raise NewStackError(
            f"MODEL={file}: cannot be served by a script of its own: {answer['refused']}; expected a pickle that loads "
            f"with {have} and has predict(); write the stack by hand: docs/your-model.md#3-a-pickle-in-an-entry-script"
        )
    return answer


def _script(name: str, by_joblib: bool, asked: dict[str, Any], why: str) -> Script:
    text = pickle_text(
        name,
        asked.get("kind", "numbers"),
        by_joblib=by_joblib,
        probabilities=asked.get("probabilities", False),
    )
    content = {"request": {"data": asked["data"]}, "response": asked["response"]} if "response" in asked else None
    if content is not None and len(json.dumps(content)) > MOST_BYTES:
        content, why = None, f"it would have more than {MOST_BYTES >> 10} KiB, and every probe sends it"
    return Script(text=text, golden=content, why_no_golden="" if content else why)
