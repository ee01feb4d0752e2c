"""Write the model `densenet121`: DenseNet-121's graph at its full size, a realistic load for measurements.

Data: none. The `onnx` package carries the graph for tests of backends. All its weights are constants, so it takes the
time of an image classifier but gives the same answer to every image. The model is not committed.

    python -m examples.training.densenet121 FOLDER [--fixed]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import onnx

MODEL = "densenet121"
SOURCE = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_densenet121.onnx"
INPUT, OUTPUT = "data_0", "fc6_1"  # [batch, 3, 224, 224] and [batch, 1000, 1, 1], float32


def save(folder: Path, *, batching: bool = True) -> Path:
    """Write the model into `folder`/triton, and return its file.

    Args:
        folder: The bundle's folder.
        batching: Whether the first dimension varies, so that Triton batches without a configuration. Otherwise it is 1.
    """
    model = onnx.load(SOURCE)
    if batching:
        del model.graph.value_info[:]  # the shapes between the nodes, which have a batch of 1
        for value in (*model.graph.input, *model.graph.output):
            if value.name in (INPUT, OUTPUT):
                value.type.tensor_type.shape.dim[0].dim_param = "batch"
    file = folder / "triton" / MODEL / "1" / "model.onnx"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(model.SerializeToString(deterministic=True))
    return file


def main() -> None:
    """Write the model into the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the bundle's folder: the model goes to FOLDER/triton/densenet121")
    parser.add_argument("--fixed", action="store_true", help="keep the batch of 1 of the original")
    arguments = parser.parse_args()
    print(save(arguments.folder, batching=not arguments.fixed))


if __name__ == "__main__":
    main()
