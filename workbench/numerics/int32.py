"""Arithmetic that stays in 32 bits inside kernels, so that LLVM puts 16 elements into a 512-bit register.

Numba widens int32 + int32 to int64: half the lanes, and products that most CPUs have no instruction for. These take int32 (wider
arguments are cut to their low 32 bits), return int32 and wrap. `high_mul32` and `divide_by_pot32` are twins of `srdhm32` and
`rounding_divide_by_pot` in `numerics/fixed_point.py`, on the ranges that they state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from workbench.numerics.jit import inline

Int32 = Any
"""An int32 inside kernels, where mypy cannot follow Numba's types; any integer will do as an argument."""
Scalar32 = Callable[[Int32, Int32], Int32]


def _instruction(name: str) -> Scalar32:
    """Return the function of one LLVM instruction of two int32 operands."""

    @intrinsic
    def operation(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, name)(*args)

        return types.int32(types.int32, types.int32), generate

    return cast(Scalar32, operation)


def _call(name: str) -> Scalar32:
    """Return the function of one LLVM intrinsic of two int32 operands."""

    @intrinsic
    def operation(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            word = ir.IntType(32)
            function = builder.module.globals.get(name)
            if function is None:
                function = ir.Function(builder.module, ir.FunctionType(word, [word, word]), name)
            return builder.call(function, args)

        return types.int32(types.int32, types.int32), generate

    return cast(Scalar32, operation)


@intrinsic
def _leading_zeros_i32(typing: Any, x: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word, flag = ir.IntType(32), ir.IntType(1)
        function = builder.module.globals.get("llvm.ctlz.i32")
        if function is None:
            function = ir.Function(builder.module, ir.FunctionType(word, [word, flag]), "llvm.ctlz.i32")
        return builder.call(function, [*args, ir.Constant(flag, 0)])

    return types.int32(types.int32), generate


_leading_zeros = cast(Callable[[Int32], Int32], _leading_zeros_i32)
add32 = _instruction("add")
sub32 = _instruction("sub")
mul32 = _instruction("mul")
and32 = _instruction("and_")
shift_left32 = _instruction("shl")
shift_right32 = _instruction("ashr")
"""Arithmetic (rounds down). Shifts are in [0, 31]."""
min32 = _call("llvm.smin.i32")
max32 = _call("llvm.smax.i32")


@inline
def leading_zeros32(x: Int32) -> Any:
    """Return the leading zero bits of the low 32 bits of x; 32 for 0."""
    return np.int64(_leading_zeros(x))


@inline
def clip32(value: Int32, low: Int32, high: Int32) -> Int32:
    """Return value within [low, high]."""
    return min32(max32(value, low), high)


@inline
def high_mul32(a: Int32, b: Int32) -> Int32:
    """Return (a * b + 2**30) >> 31: SRDHM without the case that saturates. a: int32; b: int32 >= 0. Result: int32."""
    return np.int32((np.int64(np.int32(a)) * np.int64(np.int32(b)) + (1 << 30)) >> 31)


@inline
def divide_by_pot32(x: Int32, exponent: int) -> Int32:
    """Return x / 2**exponent, ties away from zero: gemmlowp RoundingDivideByPOT. x: int32, |x| + 2**exponent / 2 < 2**31.

    exponent in [0, 31].
    """
    half = (1 << exponent) >> 1
    # The sign (0 or -1) pushes negative ties down; without a shift nothing may move.
    away = shift_right32(x, 31) if exponent > 0 else np.int32(0)
    return shift_right32(add32(add32(x, half), away), exponent)
