"""The CPU's cycle counter, for kernels that tell where their time goes."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..model.compiled import inlined, kernel


@intrinsic
def _read(typing_context: Any) -> Any:
    """The counter as LLVM reads it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        counter = ir.FunctionType(ir.IntType(64), [])
        return builder.call(cgutils.get_or_insert_function(builder.module, counter, "llvm.readcyclecounter"), [])

    return types.int64(), generate


@inlined
def ticks() -> int:
    """Ticks since some moment, at a constant rate; a few nanoseconds to read."""
    return _read()  # type: ignore[call-arg]


@kernel
def ticks_now() -> int:
    """`ticks`, for Python."""
    return ticks()
