"""Named precision formats and plans.

A *format* says what a layer's weights and activations are (`w8a8`, `w4a8-per-tensor`, `w8a16`, `fp16`, `fp32`).
A *plan* maps layers to formats: a default and exceptions. A plan is a value: hashable, printable, saved as YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from workbench.errors import InputError, nearest

Granularity = Literal["per_channel", "per_tensor"]

_NAME = re.compile(r"w(?P<w>8|4|2)a(?P<a>8|16)(?P<pt>-per-tensor)?")
STANDARD_FORMATS = (
    "w8a8", "w4a8", "w2a8", "w8a8-per-tensor", "w4a8-per-tensor", "w2a8-per-tensor",
    "w8a16", "w4a16", "w8a16-per-tensor", "fp16", "fp32",
)  # fmt: skip
"""The names printed by `workbench formats`."""

TYPE_BITS: dict[str, int] = {
    "float32": 32, "float16": 16, "int2": 2, "int4": 4, "int8": 8, "uint8": 8,
    "int16": 16, "int32": 32, "int64": 64, "bool": 8,
}  # fmt: skip
"""Width in bits of every tensor type of a graph."""


@dataclass(frozen=True)
class Format:
    """What one layer computes in.

    name: the canonical name. weight, activation: tensor types (keys of TYPE_BITS). granularity: of the weight scales.
    bias: type of the bias (int64 for int16 activations, as the TFLite 16x8 scheme).
    """

    name: str
    weight: str
    activation: str
    granularity: Granularity
    bias: str

    @property
    def weight_bits(self) -> int:
        """Bits of one weight."""
        return TYPE_BITS[self.weight]

    @property
    def activation_bits(self) -> int:
        """Bits of one activation."""
        return TYPE_BITS[self.activation]

    @property
    def is_float(self) -> bool:
        """True for fp16 and fp32."""
        return self.activation.startswith("float")


@lru_cache(maxsize=256)
def parse_format(name: str) -> Format:
    """Return the format of a name; raises InputError with the nearest name.

    Grammar: `w{8,4,2}a{8,16}`, optionally with `-per-tensor` (default: one weight scale per output channel); `fp16`; `fp32`.
    """
    if name == "fp16":
        return Format("fp16", "float16", "float16", "per_tensor", "float16")
    if name == "fp32":
        return Format("fp32", "float32", "float32", "per_tensor", "float32")
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise InputError(
            f"unknown format '{name}'.{nearest(str(name), STANDARD_FORMATS)}\n"
            f"Formats are w{{8,4,2}}a{{8,16}}, optionally with -per-tensor, fp16 and fp32."
        )
    granularity: Granularity = "per_tensor" if match["pt"] else "per_channel"
    bias = "int64" if match["a"] == "16" else "int32"
    return Format(name, f"int{match['w']}", f"int{match['a']}", granularity, bias)


def format_name(weight: str | None, activation: str, granularity: Granularity = "per_channel") -> str:
    """Return the format name of tensor types: ('int4', 'int8') -> 'w4a8'; no weights -> 'a8', 'a16', 'fp16', 'fp32'."""
    if activation.startswith("float"):
        return f"fp{TYPE_BITS[activation]}"
    if weight is None:
        return f"a{TYPE_BITS[activation]}"
    suffix = "-per-tensor" if granularity == "per_tensor" else ""
    return f"w{TYPE_BITS[weight]}a{TYPE_BITS[activation]}{suffix}"


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
