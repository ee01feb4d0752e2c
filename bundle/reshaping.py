"""The two shapes of a tensor that a configuration reshapes: the clients' shape and the model's.

The rules are those of `InferenceRequest::Normalize` and `InferenceResponse::Output::Reshape` in Triton's core: the
batch dimension stays, and sizes that vary keep their order.
"""

from __future__ import annotations

from collections.abc import Sequence

from bundle.bundle_types import ANY_SIZE, Tensor


def model_shape(tensor: Tensor, shape: Sequence[int], *, batched: bool) -> tuple[int, ...]:
    """Return the model's shape of a tensor to which clients give a shape."""
    if tensor.reshape is None:
        return tuple(shape)
    return _reshaped(shape, _dims(tensor, batched=batched), tensor.reshape, batched=batched)


def client_shape(tensor: Tensor, shape: Sequence[int], *, batched: bool) -> tuple[int, ...]:
    """Return the clients' shape of a tensor to which the model gives a shape."""
    if tensor.reshape is None:
        return tuple(shape) or (1,)  # Triton has no tensor without dimensions
    return _reshaped(shape, tensor.reshape, _dims(tensor, batched=batched), batched=batched)


def _dims(tensor: Tensor, *, batched: bool) -> tuple[int, ...]:
    return tensor.shape[1:] if batched else tensor.shape


def _reshaped(shape: Sequence[int], before: Sequence[int], after: Sequence[int], *, batched: bool) -> tuple[int, ...]:
    batch, sizes = (tuple(shape[:1]), shape[1:]) if batched else ((), shape)
    varying = iter([size for size, dim in zip(sizes, before, strict=True) if dim == ANY_SIZE])
    return (*batch, *(next(varying) if dim == ANY_SIZE else dim for dim in after))
