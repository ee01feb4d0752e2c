"""DenseNet-121 as a load for measurements: a good bundle of its own, with and without batches."""

from pathlib import Path

import pytest

from bundle.golden_derivation import derive
from bundle.layout import check_layout
from examples.training import densenet121


@pytest.mark.parametrize(("batching", "rows", "size"), [(True, -1, 4), (False, 1, 0)])
def test_it_is_a_good_bundle(tmp_path: Path, batching: bool, rows: int, size: int) -> None:
    file = densenet121.save(tmp_path, batching=batching)
    (model,) = check_layout(tmp_path, target="process").models
    assert model.max_batch_size == size
    assert [(tensor.name, tensor.shape) for tensor in (*model.inputs, *model.outputs)] == [
        ("data_0", (rows, 3, 224, 224)),
        ("fc6_1", (rows, 1000, 1, 1)),
    ]
    golden = derive(file, model)
    assert golden.response["outputs"][0]["shape"] == [1, 1000, 1, 1]
