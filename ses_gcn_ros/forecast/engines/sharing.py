"""How threads share people out among themselves without Python, for numba.

All that they have in common lies in one array of int64, from `make_shared`. Each thread takes the
last person who is left, so that none is idle while there is work; one that has nothing to do
sleeps on a semaphore of the C library.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

# Places in what is shared, each in a line of the cache of its own.
LEFT, FINISHED, ENDED, SEMAPHORE = 0, 8, 16, 24
_SIZE = 32  # the semaphore takes 32 bytes at most

LIBRARY = ctypes.CDLL(None)  # of C
_WHOLE, _INT = ir.IntType(64), ir.IntType(32)


def make_shared() -> NDArray[np.int64]:
    """Nobody left, nobody finished, and nobody to be woken."""
    shared = np.zeros(_SIZE, np.int64)
    LIBRARY.sem_init(_semaphore(shared), 0, 0)
    return shared


def end(shared: NDArray[np.int64], helpers: int) -> None:
    """Send as many helpers home."""
    shared[ENDED] = 1
    for _ in range(helpers):
        LIBRARY.sem_post(_semaphore(shared))


def _semaphore(shared: NDArray[np.int64]) -> ctypes.c_void_p:
    return ctypes.c_void_p(shared[SEMAPHORE:].ctypes.data)


def _atomic(operation: str) -> Any:
    @intrinsic
    def update(_: Any, shared: Any, place: Any, value: Any) -> Any:
        signature = types.int64(shared, types.int64, types.int64)

        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            numbers = context.make_array(signature.args[0])(context, builder, values[0]).data
            number = builder.gep(numbers, [values[1]])
            return builder.atomic_rmw(operation, number, values[2], "seq_cst")

        return signature, emit

    return update


def _on_semaphore(name: str) -> Any:
    @intrinsic
    def call(_: Any, shared: Any) -> Any:
        signature = types.int32(shared)

        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            numbers = context.make_array(signature.args[0])(context, builder, values[0]).data
            semaphore = builder.gep(numbers, [ir.Constant(_WHOLE, SEMAPHORE)])
            kind = ir.FunctionType(_INT, [_WHOLE.as_pointer()])
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            return builder.call(function, [semaphore])

        return signature, emit

    return call


# (shared, place, value): add to a number or replace it, and give what it was before. What a thread
# wrote before it did is there for those that see the number.
add, replace = _atomic("add"), _atomic("xchg")
# (shared): let a thread go on that sleeps, or that will; sleep until then.
wake, sleep = _on_semaphore("sem_post"), _on_semaphore("sem_wait")


def _let_others() -> Any:
    @intrinsic
    def call(_: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            kind = ir.FunctionType(_INT, [])
            return builder.call(
                cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), []
            )

        return types.int32(), emit

    return call


# (): let other threads have this processor, if any wants it.
let_others = _let_others()
