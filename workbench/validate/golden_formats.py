"""Golden vectors of number formats: casts and microscaling blocks (`fp_formats`), llama.cpp's block formats (`gguf_quant`).

Every array of the files is compared or named with the reason why not. Floats are compared as patterns, NaN and the sign of zero
included (but for the zeros of integer elements, which have no sign).
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from workbench.data import read_arrays
from workbench.errors import InputError
from workbench.graph.ir import Array
from workbench.numerics.elements import INTEGERS
from workbench.numerics.float16 import bf16_to_f32_array, f16_to_f32_array, f32_to_bf16_array, f32_to_f16_array
from workbench.numerics.float_formats import FORMATS
from workbench.numerics.gguf_blocks import GGUF_BLOCKS
from workbench.numerics.gguf_codebooks import GGUF_CODEBOOKS
from workbench.numerics.gguf_super_blocks import GGUF_READ
from workbench.numerics.mx import decode_mx, encode_mx
from workbench.numerics.small_floats import Rounding, code_values, decode_floats, encode_floats
from workbench.validate.cases import CaseFile, Problems, read_json
from workbench.validate.golden_base import CHECKS, Row, count, make_row

HALVES = {"float16": (f32_to_f16_array, f16_to_f32_array), "bfloat16": (f32_to_bf16_array, bf16_to_f32_array)}
"""Type of the file -> the routines that layers use; `encode_floats` is compared as well."""
ROUNDINGS: dict[str, Rounding] = {"even": "half_even", "nearest": "half_away", "floor": "toward_zero"}
_MX = re.compile(r"mx_(?:fp\d_)?(?P<element>\w+)_(?P<rounding>even|nearest|floor)_b(?P<block>\d+)")
NO_VECTORS = "not available"
"""So begins what a file says of a format that its producer cannot read."""
_CODEBOOK = "needs a codebook of hundreds of entries, data of llama.cpp: install the package 'gguf' to have it compared"


def _array(path: Path, arrays: Mapping[str, Array], name: str, kind: type[np.generic] | None = None) -> Array:
    if name not in arrays:
        raise InputError(f"{path}: array '{name}' is missing.")
    if kind is not None and arrays[name].dtype != kind:
        raise InputError(f"{path}: array '{name}' is {arrays[name].dtype}; expected {np.dtype(kind)}.")
    return arrays[name]


def _row(path: Path, producer: str, got: Array, want: Array, note: str, again: bool = False) -> Row:
    total = [0, 0, 0, 0]
    count(total, _patterns(got), _patterns(want))
    return make_row(path.stem, producer, "-", [len(want), *total[1:]], note, again)


def _patterns(x: Array) -> Array:
    return np.ascontiguousarray(x).view(f"u{x.dtype.itemsize}") if x.dtype.kind == "f" else x


def _left_out(path: Path, producer: str, note: str) -> Row:
    return Row(path.stem, producer, "-", 0, 0, 0, 0, note)


def _unknown(path: Path, producer: str, note: str) -> Row:
    return Row(path.stem, producer, "-", 0, 0, 0, 0, note, failed=True)


def format_of(kind: str) -> str:
    """Return the key of FORMATS for a type as ml_dtypes names it ('float8_e4m3fn' -> 'e4m3', 'float16' -> 'fp16'), or ''."""
    plain = {"float16": "fp16", "bfloat16": "bf16"}.get(kind) or re.sub(r"^float\d_", "", kind)
    return next((name for name in (plain, re.sub("fnu?$", "", plain)) if name in FORMATS), "")


def check_fp_formats(path: Path) -> list[Row]:
    """Compare the casts of ml_dtypes both ways, the value of every code, and the blocks of microxcaling."""
    index, arrays, problems = read_json(path.with_suffix(".json")), read_arrays(path), Problems(path.stem)
    keys = index.get("keys") if isinstance(index, dict) else None
    if not isinstance(keys, list) or not all(isinstance(k, str) for k in keys):
        raise InputError(f"{path.with_suffix('.json')}: no list 'keys' of array names in it.")
    problems.listed(keys, list(arrays), "arrays")
    problems.add("missing arrays", *(key for key in keys if key not in arrays))
    rows = []
    for name in arrays:
        what, _, kind = name.partition("_")
        if what == "mx":
            rows.append(_mx_row(path, arrays, name))
        elif what in ("cast", "back", "table"):
            rows += _cast_rows(path, arrays, what, kind)
        elif name not in ("v", "x"):
            rows.append(_unknown(path, name, "not covered: the name says no comparison that is known"))
    return rows + problems.rows()


def _cast_rows(path: Path, arrays: Mapping[str, Array], what: str, kind: str) -> Iterator[Row]:
    form = format_of(kind)
    want, producer = arrays[f"{what}_{kind}"], f"{what} {kind}"
    if not form:
        yield _unknown(path, producer, f"not covered: no format '{kind}' here")
        return
    if what == "table":
        yield _row(path, producer, code_values(form), want, "the value of every code")
        return
    v, codes = _array(path, arrays, "v", np.float32), _array(path, arrays, f"cast_{kind}", FORMATS[form].storage)
    if kind in HALVES:
        narrow, widen = HALVES[kind]
        yield _row(path, producer, narrow(v) if what == "cast" else widen(codes), want, "kernels; patterns, NaN included")
        numbers = ~np.isnan(v)
        v, codes, want, note = v[numbers], codes[numbers], want[numbers], "the rule of all small floats; numbers; again"
    else:
        note = "patterns, NaN included"
    got = encode_floats(v, form) if what == "cast" else decode_floats(codes, form)
    yield _row(path, producer, got, want, note, again=kind in HALVES)


def _mx_row(path: Path, arrays: Mapping[str, Array], name: str) -> Row:
    parts = _MX.fullmatch(name)
    producer = name.replace("_", " ", 1)
    x, want = _array(path, arrays, "x", np.float32), arrays[name]
    element = parts["element"] if parts else ""
    if parts is None or element not in (*FORMATS, *INTEGERS) or x.shape[-1] % int(parts["block"]):
        return _unknown(path, producer, "not covered: no such element, rounding or block here")
    got = decode_mx(encode_mx(x, element, int(parts["block"]), ROUNDINGS[parts["rounding"]]), element)
    if element in INTEGERS:
        return _row(path, producer, got, want + np.float32(0), "values; an integer has one zero")
    return _row(path, producer, got, want, "patterns")


def check_gguf_quant(path: Path) -> list[Row]:
    """Compare the bytes of every format that gguf quantizes, and the values of every format that it reads."""
    file = CaseFile(path, "formats", "format", shared=("x",))
    rows: list[Row] = []
    for entry, arrays in file.cases:
        name = entry["format"]
        with file.attempt(name):
            kind = entry["kind"]
            if kind.startswith(NO_VECTORS) and not arrays:
                rows.append(_left_out(path, name, f"no vectors: {kind.partition(':')[2].strip() or kind}"))
                continue
            blocks, values = arrays["blocks"], arrays["dequant"]
            if values.dtype != np.float32:
                raise ValueError(f"array '{name}/dequant' is {values.dtype}; expected float32")
            if kind.startswith("quantize"):
                rows += _quantized(path, name, _array(path, file.shared, "x", np.float32), blocks)
            rows.append(_read(path, name, blocks, values))
    return rows + file.rows()


def _quantized(path: Path, name: str, x: Array, blocks: Array) -> Iterator[Row]:
    producer, note = f"{name} quantize", "the bytes of the blocks"
    if name in GGUF_BLOCKS:
        form = GGUF_BLOCKS[name]
        if x.shape[-1] % form.block:
            raise InputError(f"{path}: {name}: rows of {x.shape[-1]} values are not whole blocks of {form.block}.")
        yield _row(path, producer, form.encode(x.reshape(-1, form.block)).reshape(len(x), -1), blocks, note)
    elif name in ("F32", "F16", "BF16"):
        plain = {"F32": lambda w: w.view(np.uint8), "F16": f32_to_f16_array, "BF16": f32_to_bf16_array}[name](x)
        yield _row(path, producer, plain.view(np.uint8), blocks.view(np.uint8), note)
    else:
        yield _unknown(path, producer, "not covered: only read here")


def _read(path: Path, name: str, blocks: Array, values: Array) -> Row:
    producer, note = f"{name} dequantize", "patterns of the values"
    packed = np.ascontiguousarray(blocks).view(np.uint8)
    if name in ("F32", "F16", "BF16"):
        wide = (
            packed.view(np.float32)
            if name == "F32"
            else HALVES["float16" if name == "F16" else "bfloat16"][1](packed.view("<u2"))
        )
        return _row(path, producer, wide, values, note)
    form = GGUF_BLOCKS.get(name) or GGUF_READ.get(name) or GGUF_CODEBOOKS.get(name)
    if form is None:
        return _unknown(path, producer, "not covered: no such format here")
    if packed.shape[1] % form.size:
        raise InputError(f"{path}: {name}: rows of {packed.shape[1]} bytes are not whole blocks of {form.size}.")
    rows = packed.reshape(-1, form.size)
    if name in GGUF_CODEBOOKS:
        book = _codebook(name)
        if book is None:
            return _left_out(path, producer, f"not compared: {_CODEBOOK}")
        got = GGUF_CODEBOOKS[name].decode(rows, book)
    else:
        got = (GGUF_BLOCKS.get(name) or GGUF_READ[name]).decode(rows)
    return _row(path, producer, got.reshape(len(values), -1), values, note)


@lru_cache(maxsize=16)
def _codebook(name: str) -> Array | None:
    """Return the codebook of a format, float32 [entries, 8 or 4], out of the optional package `gguf`; None without it."""
    try:
        form = getattr(importlib.import_module("gguf.quants"), name)
    except (ImportError, AttributeError):
        return None
    form.init_grid()
    return np.asarray(form.grid, np.float32).reshape(form.grid_shape)


CHECKS.add("fp_formats", check_fp_formats)
CHECKS.add("gguf_quant", check_gguf_quant)
