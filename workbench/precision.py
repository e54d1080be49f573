"""Named precision formats and plans.

A *format* says what a layer's weights and activations are (`w8a8`, `w4a8-per-tensor`, `w8a16`, `fp16`, `fp8`, `nf4-fp16`).
A *plan* maps layers to formats: a default and exceptions. A plan is a value: hashable, printable, saved as YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from workbench.errors import InputError, nearest
from workbench.numerics.codings import CODINGS, SPARSE

Granularity = Literal["per_channel", "per_tensor"]

_INTEGER = re.compile(r"w(?P<w>8|7|4|2|1|b|t)a(?P<a>8|16|4|2)(?P<pt>-per-tensor)?")
_DYNAMIC = re.compile(r"w(?P<w>8|4|2)a8-dynamic(?P<pt>-per-tensor)?")
_WIDTHS = {"8": "int8", "7": "int7", "4": "int4", "2": "int2", "1": "int1", "b": "binary", "t": "ternary"}
FLOATS = {"fp32": "float32", "tf32": "tfloat32", "bf16": "bfloat16", "fp16": "float16"}
"""Format name -> tensor type of floats without a scale, widest first."""
FLOAT8 = {"fp8": "float8_e4m3", "fp8-e5m2": "float8_e5m2"}
"""Format name -> tensor type of weights and inputs; these layers write float16."""
STANDARD_FORMATS = (
    "w8a8", "w7a8", "w4a8", "w2a8", "w8a8-per-tensor", "w4a8-per-tensor", "w2a8-per-tensor", "w1a8-per-tensor", "wba8-per-tensor",
    "wta8-per-tensor", "w8a16", "w4a16", "w8a16-per-tensor", "w8a4", "w4a4", "w2a4", "w4a2", "w2a2", "w8a8-2:4", "w8a8-dynamic",
    "w8a8-dynamic-per-tensor", "w4a8-dynamic", "fp8", "fp8-e5m2", "fp16", "fp16-2:4", "bf16", "tf32", "fp32",
    *(f"{coding}-fp16" for coding in CODINGS if coding != SPARSE),
)  # fmt: skip
"""The names printed by `workbench formats`."""
_ALSO_SAID = {
    "int8": "w8a8", "int4": "w4a8", "fp8-e4m3": "fp8", "e4m3": "fp8", "e5m2": "fp8-e5m2", "float32": "fp32", "float16": "fp16",
    "bfloat16": "bf16", "dynamic": "w8a8-dynamic", "dynamic-range": "w8a8-dynamic", "hybrid": "w8a8-dynamic",
}  # fmt: skip
"""What people say -> the format that they mean: for messages."""
GRAMMAR = (
    "Formats are w{8,7,4,2,1,b,t}a{16,8,4,2}, optionally with -per-tensor (7: 8-bit weights within +-64, b: binary, t: ternary); fp32, "
    "tf32, bf16, fp16, fp8 (e4m3), fp8-e5m2; -2:4 after any of them for weights pruned to it; w{8,4,2}a8-dynamic for float32 "
    "activations that are quantized as the layer runs, optionally with -per-tensor; and weight-only CODING-fp16, -bf16 or "
    f"-fp32, with CODING one of {', '.join(c for c in CODINGS if c != SPARSE)}."
)

PLAIN = "plain"
"""Format name of an operator on indices, masks and sizes alone. A target that has the operator at all has it for them."""

UNSIGNED = "uint8"
"""Format name of an operator on unsigned bytes with a scale, weights included: files of converters before 2019. They run as they are;
no plan gives this format to a layer."""

TYPE_BITS: dict[str, int] = {
    "float32": 32, "tfloat32": 32, "float16": 16, "bfloat16": 16, "float8_e4m3": 8, "float8_e5m2": 8,
    "int1": 1, "binary": 1, "ternary": 2, "int2": 2, "int4": 4, "int7": 8, "int8": 8, "uint8": 8, "int16": 16, "int32": 32, "int64": 64,
    "bool": 8,
}  # fmt: skip
"""Width in bits that a value of every tensor type of a graph takes (int7 is stored in 8)."""


def is_float(dtype: str) -> bool:
    """True for tensor types whose values are the numbers themselves, without a scale (not float8)."""
    return dtype in _FLOAT_TYPES


_FLOAT_TYPES = frozenset(FLOATS.values())


@dataclass(frozen=True)
class Format:
    """What one layer computes in.

    name: the canonical name. weight, activation: tensor types (keys of TYPE_BITS) that meet in the product. granularity: of the
    weight scales. bias: type of the bias (int64 for int16 activations, as the TFLite 16x8 scheme). output: type that the layer
    writes. coding: how weights are stored when not as `weight` (a key of CODINGS): weight-only block formats, 2:4 sparsity.
    """

    name: str
    weight: str
    activation: str
    granularity: Granularity
    bias: str
    output: str
    coding: str = ""

    @property
    def weight_bits(self) -> float:
        """Bits that one stored weight takes."""
        bits = TYPE_BITS[self.weight]
        return CODINGS[self.coding].bits(bits) if self.coding else float(bits)

    @property
    def activation_bits(self) -> int:
        """Bits of one activation."""
        return TYPE_BITS[self.activation]

    @property
    def is_float(self) -> bool:
        """True when activations are floats without a scale."""
        return is_float(self.activation)

    @property
    def is_dynamic(self) -> bool:
        """True when float activations meet integer weights: the layer quantizes them as it runs, for every sample."""
        return self.is_float and not is_float(self.weight)


@lru_cache(maxsize=256)
def parse_format(name: str) -> Format:
    """Return the format of a name (the grammar: GRAMMAR); raises InputError with the nearest name."""
    found = _parse(name) if isinstance(name, str) else None
    if found is None:
        raise InputError(f"unknown format '{name}'.{_hint(str(name).strip().lower())}\n{GRAMMAR}")
    return found


def _hint(name: str) -> str:
    """Return ` Did you mean 'x'?` for a name that is no format, in lower case, or an empty string."""
    coding = next((c for c in CODINGS if name.startswith(c + "-") or name == c), "")
    if name == UNSIGNED:
        return " It is that of files of unsigned bytes, which run as they are: without a plan."
    meant = _ALSO_SAID.get(name) or (name if _parse(name) else "") or (f"{coding}-fp16" if coding not in ("", SPARSE) else "")
    return f" Did you mean '{meant}'?" if meant else nearest(name, STANDARD_FORMATS)


def _parse(name: str) -> Format | None:
    plain = name.removesuffix("-" + SPARSE)
    coding = SPARSE if plain != name else ""
    if plain in FLOATS:
        kind = FLOATS[plain]
        return Format(name, kind, kind, "per_tensor", kind, kind, coding)
    if plain in FLOAT8:
        return Format(name, FLOAT8[plain], FLOAT8[plain], "per_tensor", "float16", "float16", coding)
    match = _INTEGER.fullmatch(plain)
    if match is not None:
        granularity: Granularity = "per_tensor" if match["pt"] else "per_channel"
        bias = "int64" if match["a"] == "16" else "int32"
        activation = f"int{match['a']}"
        return Format(name, _WIDTHS[match["w"]], activation, granularity, bias, activation, coding)
    match = _DYNAMIC.fullmatch(name)
    if match is not None:
        granularity = "per_tensor" if match["pt"] else "per_channel"
        return Format(name, _WIDTHS[match["w"]], "float32", granularity, "float32", "float32")
    left, _, right = name.rpartition("-")
    if left in CODINGS and left != SPARSE and right in FLOATS and right != "tf32":
        kind = FLOATS[right]
        return Format(name, kind, kind, "per_tensor", kind, kind, left)
    return None


def format_name(weight: str | None, activation: str, granularity: Granularity = "per_channel", coding: str = "") -> str:
    """Return the format name of tensor types: ('int4', 'int8') -> 'w4a8'; no weights -> 'a8', 'fp8', ...; PLAIN, UNSIGNED."""
    if activation in ("int32", "int64", "bool"):
        return PLAIN
    if activation == "uint8":
        return UNSIGNED
    plain = {kind: name for table in (FLOATS, FLOAT8) for name, kind in table.items()}.get(activation)
    suffix = f"-{SPARSE}" if coding == SPARSE else ""
    integers = {**{kind: letter for letter, kind in _WIDTHS.items()}, "uint8": "8"}
    per_tensor = "-per-tensor" if granularity == "per_tensor" else ""
    if activation == "float32" and weight in ("int8", "uint8", "int4", "int2"):
        return f"w{integers[weight]}a8-dynamic{per_tensor}"
    if plain is not None:
        return f"{coding}-{plain}" if coding and not suffix else plain + suffix
    if weight is None:
        return f"a{TYPE_BITS[activation]}"
    return f"w{integers[weight]}a{TYPE_BITS[activation]}{per_tensor}{suffix}"


@dataclass(frozen=True)
class PrecisionPlan:
    """Layer name -> format: `default` for all layers but those in `layers` (sorted pairs, none equal to the default)."""

    default: str
    layers: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def of(default: str, layers: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> PrecisionPlan:
        """Return the canonical plan: names checked, layers sorted, entries equal to the default dropped."""
        pairs = dict(layers)
        parse_format(default)
        for fmt in pairs.values():
            parse_format(fmt)
        return PrecisionPlan(default, tuple(sorted((k, v) for k, v in pairs.items() if v != default)))

    def format_of(self, layer: str) -> Format:
        """Return the format of one layer."""
        return parse_format(dict(self.layers).get(layer, self.default))

    def replace(self, changes: Mapping[str, str]) -> PrecisionPlan:
        """Return a plan with some layers changed."""
        return PrecisionPlan.of(self.default, {**dict(self.layers), **changes})

    def check_layers(self, known: Iterable[str]) -> None:
        """Raise InputError when the plan names a layer that the model does not have."""
        names = list(known)
        for layer, _ in self.layers:
            if layer not in names:
                raise InputError(
                    f"plan: layer '{layer}' is not in the model.{nearest(layer, names)}\nLayers: {', '.join(names)}."
                )

    def label(self) -> str:
        """Return a short human name: `w8a8 + conv3:w4a8`."""
        return " + ".join([self.default, *(f"{k}:{v}" for k, v in self.layers)])
