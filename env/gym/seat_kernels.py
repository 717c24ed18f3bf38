"""Reads a row of a typed list where it lies.

`seats[e]` copies a row, and counts a reference to each of its more than a hundred arrays: microseconds every time. Here
only the fields are loaded that the caller goes on to use, and nothing is counted, as the list keeps its rows alive. So
it is for kernels that count no references (`bare`, `inlined`): others would give back what was never taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.typed.listobject import _container_get_data


@intrinsic
def _seat_at(typing_context: Any, rows: Any, place: Any) -> Any:
    """Row `place` of a list, which must have it; to be read at once, before the list is changed."""
    row = rows.item_type

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if context.enable_nrt:
            raise TypeError("seat_at is for kernels that count no references: `bare` and `inlined` ones")
        pointer = ir.IntType(8).as_pointer()
        find = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(pointer, [pointer]), "numba_list_base_ptr"
        )
        for attribute in ("nounwind", "readonly"):
            find.attributes.add(attribute)
        first = builder.call(find, [_container_get_data(context, builder, rows, arguments[0])])
        first = builder.bitcast(first, context.get_data_type(row).as_pointer())
        at = context.cast(builder, arguments[1], place, types.intp)
        return context.data_model_manager[row].load_from_data_pointer(builder, cgutils.gep(builder, first, at))

    return row(rows, place), generate


seat_at: Callable[[Any, int], Any] = _seat_at  # type: ignore[assignment]
"""Row of a list (seats, boards) at a place: what types know of it."""
