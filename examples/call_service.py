"""Calls a deployed service as its users would: health, metadata, inference with binary tensors, questions, image files.

    python examples/call_service.py --stack local

Address and key come from the stack's outputs. `tritonclient[http]` speaks to Triton, through the service's front door
and with its key.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

PROJECT = Path(__file__).resolve().parents[1]
DATA = Path(__file__).with_name("data")
SHOWN = 10

QUESTION = {"query": "What color is the fox", "context": "The quick brown fox jumped over the lazy dog."}

Array = np.ndarray[Any, Any]
console = Console(highlight=False, soft_wrap=True)


def stack_outputs(stack: str) -> dict[str, Any]:
    """The outputs of a stack, secrets in clear, from Pulumi's CLI where it is on PATH or the embedded engine."""
    pulumi = shutil.which("pulumi")
    command = [pulumi] if pulumi else [sys.executable, "-m", "engine"]
    state = PROJECT / ".var"
    variables = dict(os.environ)
    if (state / "passphrase").is_file():  # the stack lives where `make up` puts it
        variables.setdefault("PULUMI_BACKEND_URL", f"file://{state}/backend")
        variables.setdefault("PULUMI_CONFIG_PASSPHRASE_FILE", f"{state}/passphrase")
    done = subprocess.run(
        [*command, "stack", "output", "--json", "--show-secrets", "--stack", stack],
        cwd=PROJECT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"no outputs of stack '{stack}': {done.stderr.strip()}; deploy it: make up STACK={stack}")
    outputs: dict[str, Any] = json.loads(done.stdout)
    return outputs


class Service:
    """A service behind its front door: `client` of its Triton, and the `headers` that carry the key."""

    def __init__(self, outputs: dict[str, Any]) -> None:
        scheme, _, address = outputs["tritonUri"].partition("://")
        self.client = InferenceServerClient(address, ssl=scheme == "https")
        self.scoring_uri = outputs["scoringUri"]
        self.headers = {"Authorization": f"Bearer {outputs['primaryKey']}"} if outputs.get("primaryKey") else {}

    def show_health(self) -> None:
        """Print whether the service is ready."""
        console.print(f"ready: {self.client.is_server_ready(headers=self.headers)}")

    def show_model(self, model: str) -> None:
        """Print a model's versions, platform, inputs and outputs."""
        metadata = self.client.get_model_metadata(model, headers=self.headers)
        table = Table("", "name", "type", "shape", title=f"{model} {metadata['versions']} on {metadata['platform']}")
        for kind in ("inputs", "outputs"):
            for tensor in metadata[kind]:
                table.add_row(kind, tensor["name"], tensor["datatype"], str(tensor["shape"]))
        console.print(table)

    def batch_size(self, model: str) -> int:
        """How many items Triton takes in one request."""
        return max(1, int(self.client.get_model_config(model, headers=self.headers)["max_batch_size"]))

    def classify(self, model: str, given: str, values: Array, output: InferRequestedOutput) -> Array:
        """The output that `output` asks for, of all the items `values` of the input `given`, in batches."""
        size = self.batch_size(model)
        batches = [values[at : at + size] for at in range(0, len(values), size)]
        return np.concatenate([self.infer(model, given, batch, output) for batch in batches])

    def infer(self, model: str, given: str, values: Array, output: InferRequestedOutput) -> Array:
        """The same of one batch; the tensors travel as binary."""
        tensor = InferInput(given, list(values.shape), "FP32")
        tensor.set_data_from_numpy(values.astype(np.float32), binary_data=True)
        request_id = uuid.uuid4().hex
        headers = dict(self.headers)  # the client adds its own to what it is given
        answer = self.client.infer(model, [tensor], outputs=[output], request_id=request_id, headers=headers)
        if answer.get_response()["id"] != request_id:
            raise RuntimeError(f"the answer to request {request_id} is that of {answer.get_response()['id']}")
        result: Array = answer.as_numpy(output.name())
        return result


def classify_digits(service: Service) -> float:
    """Classify the held-out scans, print some of them; returns the share that is right."""
    samples = json.loads((DATA / "digits_held_out.json").read_text())["samples"]
    scans, truths = (np.array([sample[part] for sample in samples]) for part in ("image", "digit"))
    labels = service.classify("digits", "image", scans, InferRequestedOutput("label", binary_data=True))[:, 0]
    table = Table("scan", "shows", "classified as", title="digits: held-out scans")
    for number, (truth, label) in enumerate(zip(truths, labels, strict=True), 1):
        if number <= SHOWN or truth != label:
            table.add_row(str(number), str(truth), str(label), style="red" if truth != label else "")
    console.print(table)
    accuracy = float((labels == truths).mean())
    console.print(
        f"digits: accuracy {accuracy:.4f} on {len(truths)} held-out scans (the first {SHOWN} and the errors above)"
    )
    return accuracy


def classify_wines(service: Service) -> float:
    """Classify the held-out wines by Triton's classification extension; returns the share that is right."""
    samples = json.loads((DATA / "wine_held_out.json").read_text())["samples"]
    values = np.array([sample["measurements"] for sample in samples])
    # Each class is text, "<probability>:<index>:<label>", the likeliest first.
    cultivar = InferRequestedOutput("cultivar", binary_data=True, class_count=2)
    classes = service.classify("wine", "measurements", values, cultivar)
    table = Table("wine", "made from", "likeliest", "then", title="wine: held-out wines")
    names = []
    for number, (sample, row) in enumerate(zip(samples, classes, strict=True), 1):
        parts = [text.decode().split(":") for text in row]
        names.append(parts[0][2])
        if number <= SHOWN:
            table.add_row(
                str(number), sample["cultivar"], *(f"{label} {float(share):.3f}" for share, _, label in parts)
            )
    console.print(table)
    accuracy = float(np.mean([name == sample["cultivar"] for name, sample in zip(names, samples, strict=True)]))
    console.print(f"wine: accuracy {accuracy:.4f} on {len(samples)} held-out wines")
    return accuracy


def classify_photographs(service: Service) -> float:
    """Post image files to the entry script, as Azure's client does; returns the share that is right."""
    table = Table("file", "shows", "answer", title="densenet_onnx: held-out crops of photographs")
    headers = {"Content-Type": "application/octet-stream", **service.headers}
    right = []
    for file in sorted((PROJECT / "examples" / "scripts" / "photographs").glob("*.jpg")):
        answer = httpx.post(service.scoring_uri, content=file.read_bytes(), headers=headers, timeout=60)
        answer.raise_for_status()
        shown = file.stem.replace("_", " ").upper()
        right.append(answer.text.partition(" : ")[2] == shown)
        table.add_row(file.name, shown.lower(), answer.text, style="" if right[-1] else "red")
    console.print(table)
    console.print(f"densenet_onnx: {sum(right)} of {len(right)} photographs right")
    return float(np.mean(right))


def ask(service: Service) -> list[str]:
    """Ask the entry script a question; returns the words of the answer."""
    answer = httpx.post(service.scoring_uri, json=QUESTION, headers=service.headers, timeout=60)
    answer.raise_for_status()
    words: list[str] = answer.json()
    console.print(f"{QUESTION['context']} {QUESTION['query']}? {' '.join(words)}")
    return words


def main() -> None:
    """Call each model of the stack and show the answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", default="local", help="the stack, as in stacks/Pulumi.<stack>.yaml")
    stack = parser.parse_args().stack
    outputs = stack_outputs(stack)
    if not outputs.get("tritonUri"):
        sys.exit(f"stack '{stack}' has no Triton to call; POST to {outputs.get('scoringUri')} instead")
    service = Service(outputs)
    service.show_health()
    models = [model["name"] for bundle in outputs["models"] for model in bundle["models"]]
    for model in models:
        service.show_model(model)
    if "digits" in models:
        classify_digits(service)
    if "wine" in models:
        classify_wines(service)
    if "densenet_onnx" in models and outputs["scoringUri"].endswith("/score"):
        classify_photographs(service)
    if "bidaf-9" in models and outputs["scoringUri"].endswith("/score"):
        ask(service)


if __name__ == "__main__":
    main()
