"""Compile loops over small arrays with numba, once per machine."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import numba
from numba import types
from numba.core import event

from ses_gcn_ros.resources import cache_folder

real = types.float64
single = types.float32
whole = types.int64


def array(dimensions: int, of: Any = real) -> Any:
    """Type of an argument that is read only: contiguous arrays, writable or not."""
    return types.Array(of, dimensions, "C", readonly=True)


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """While in here no other process of this user compiles: who waited finds what another kept.

    numba enters a function into its index before it has written the code, and numbers the code by
    the index that it has read: a process in between takes the code of an older source, or of
    another signature, for that of the new one.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # where nothing can be kept, nothing can be mixed up
            cache_folder().mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((cache_folder() / "compiling.lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)  # which ends with the process, too
        yield


@functools.cache
def _say_so() -> None:
    logging.getLogger(__name__).warning("compiling for this machine, about 20 s")


class _Announced(event.Listener):
    """Says so where numba finds no machine code that it has kept."""

    def on_start(self, event: Any) -> None:
        _say_so()

    def on_end(self, event: Any) -> None:
        pass


def of_its_file(function: Any) -> Any:
    """The function, whose code says which file it is of, not by which link that was found.

    numba keeps machine code beside the file it is told of. So a checkout and what is installed of
    it by links share theirs, and the first node that is started in the checkout compiles nothing.
    """
    code = function.__code__
    function.__code__ = code.replace(co_filename=os.path.realpath(code.co_filename))
    return function


def compiled(signature: Any) -> Callable[[Any], Any]:
    """Compile a function for one signature, and keep the machine code beside its source.

    numba recompiles when the file of the function changes, so everything that a compiled function
    calls has to be in its own file. Arithmetic is that of NumPy: a division by zero gives an
    infinity or NaN, and no operations are reordered. The first that has to be compiled is logged.
    """

    def compile_now(function: Any) -> Any:
        function = of_its_file(function)
        with event.install_listener("numba:compile", _Announced()):
            try:
                with one_at_a_time():
                    dispatcher = numba.njit(cache=True, error_model="numpy")(function)
                    dispatcher.compile(signature)
                    dispatcher.disable_compile()
                    return dispatcher
            except Exception:  # the cache can't be read or written, or is damaged
                return numba.njit(signature, error_model="numpy")(function)

    return compile_now
