"""How numba compiles kernels here: `kernel` for those that Python calls, the others for those they call.

Kernels are free functions over arrays; each has a numpy twin, and a property test compares the two. Numba notices only
changes in a kernel's own file: after changing kernels that others call, delete `__pycache__`.

`_nrt` says whether a kernel counts references to arrays; it is said everywhere, as numba would hand on the caller's.
"""

from __future__ import annotations

from numba import njit

# numba knows more options of njit than its types say.
kernel = njit(cache=True, error_model="numpy", _nrt=True)  # type: ignore[call-overload]
"""For kernels that Python calls."""
inner = njit(  # type: ignore[call-overload]
    cache=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy", _nrt=True
)
"""For kernels that only kernels call: they compile in half the time."""
bare = njit(  # type: ignore[call-overload]
    cache=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy", _nrt=False
)
"""For those of them that make no array: many times faster, as references to what they are handed are not counted."""
inlined = njit(  # type: ignore[call-overload]
    cache=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy", _nrt=False, forceinline=True
)
"""For the smallest and most often called of those: handing over many arrays takes longer than what they do."""
