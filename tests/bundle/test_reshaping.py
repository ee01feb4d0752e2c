"""The two shapes of a reshaped tensor: one is the other's way back, whatever varies."""

from math import prod

from hypothesis import given
from hypothesis import strategies as st

from bundle.bundle_types import ANY_SIZE, Tensor
from bundle.reshaping import client_shape, model_shape


@st.composite
def reshapes(draw: st.DrawFn) -> tuple[Tensor, tuple[int, ...], bool]:
    """A tensor whose fixed dimensions are split, joined or padded with ones, and a client's shape of it."""
    batched = draw(st.booleans())
    parts = draw(st.lists(st.sampled_from(["any", "fixed"]), min_size=1, max_size=4))
    dims: list[int] = []
    reshape: list[int] = []
    shape: list[int] = []
    for part in parts:
        if part == "any":
            dims.append(ANY_SIZE)
            reshape.append(ANY_SIZE)
            shape.append(draw(st.integers(1, 5)))
            continue
        sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
        apart, joined = [sizes, [1, prod(sizes)]] if draw(st.booleans()) else [[prod(sizes)], sizes]
        dims += apart
        reshape += joined
        shape += apart
    batch = [draw(st.integers(1, 4))] if batched else []
    declared = (ANY_SIZE, *dims) if batched else tuple(dims)
    return Tensor("x", "FP32", declared, reshape=tuple(reshape)), (*batch, *shape), batched


@given(reshapes())
def test_a_shape_comes_back_with_as_many_values(given: tuple[Tensor, tuple[int, ...], bool]) -> None:
    tensor, shape, batched = given
    there = model_shape(tensor, shape, batched=batched)
    assert prod(there) == prod(shape)
    assert tensor.reshape is not None
    inside = there[1:] if batched else there
    assert all(dim in (ANY_SIZE, size) for dim, size in zip(tensor.reshape, inside, strict=True))
    assert client_shape(tensor, there, batched=batched) == shape


def test_a_value_for_each_row_has_a_dimension_of_its_own() -> None:
    label = Tensor("label", "INT64", (ANY_SIZE, 1), reshape=())
    assert client_shape(label, (7,), batched=True) == (7, 1)
    assert model_shape(label, (7, 1), batched=True) == (7,)
    assert client_shape(Tensor("scalar", "FP32", (1,)), (), batched=False) == (1,)
