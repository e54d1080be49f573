"""What a target asks of the shape of a layer, as data: `constraints` of an operator, and where layers go that do not meet them.

    constraints: {kernel_h: {max: 64}, stride: [[1, 1], [2, 2]]}
    constraints:
      - {when: {padded: 1}, kernel_h: {max: 8}, kernel_w: {max: 8}, source: "manual, table 3"}
      - {formats: [a16], reduced: {max: 65_536}}

Every quantity is one key; all limits of a constraint hold together. Nothing here looks at a graph: `workbench.graph.quantities` says
what a layer is, `workbench.placement` holds it against these limits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator

from workbench.hardware.costs import Constant
from workbench.hardware.record import Record

Quantity = int | float | str | tuple[int, ...]
"""What a layer is: one number, several (kernel: height, width), or a name (activation)."""


class Limit(Record):
    """What one quantity may be. Short forms: a list is `one_of`, a number is the only one that fits."""

    min: float | None = None
    max: float | None = None
    multiple_of: int | None = Field(default=None, ge=1)
    one_of: tuple[int | float | tuple[int, ...], ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return {"one_of": value}
        return {"one_of": (value,)} if isinstance(value, int | float) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _limits_something(self) -> Limit:
        if self.min is None and self.max is None and self.multiple_of is None and not self.one_of:
            raise ValueError("give min, max, multiple_of, or a list of what fits")
        if any(isinstance(v, tuple) for v in self.one_of) and (self.min, self.max, self.multiple_of) != (None, None, None):
            raise ValueError("min, max and multiple_of are for single numbers; what is in the list is not one")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [handler(core_schema), {"type": "array"}, {"type": "number"}]}

    def missed(self, value: Any) -> str:
        """Return what would fit ('at most 3') when the value does not, else ''."""
        if isinstance(value, tuple):
            return "" if value in self.one_of else self.text
        low, high = self.min is None or value >= self.min, self.max is None or value <= self.max
        steps = self.multiple_of is None or value % self.multiple_of == 0
        return "" if low and high and steps and (not self.one_of or value in self.one_of) else self.text

    @property
    def text(self) -> str:
        """What fits, in words."""
        parts = []
        if self.one_of:
            parts.append(" or ".join(map(number, self.one_of)))
        if self.min is not None and self.max is not None:
            parts.append(f"{number(self.min)} to {number(self.max)}")
        elif self.min is not None:
            parts.append(f"at least {number(self.min)}")
        elif self.max is not None:
            parts.append(f"at most {number(self.max)}")
        if self.multiple_of is not None:
            parts.append(f"a multiple of {self.multiple_of}")
        return ", ".join(parts)


class Names(Record):
    """Which fused activations fit: a list of names, or the only one."""

    one_of: tuple[Literal["none", "relu", "relu6", "relu_n1_to_1"], ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        return {"one_of": value if isinstance(value, list | tuple) else (value,)}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "array"}, {"type": "string"}]}

    def missed(self, value: Any) -> str:
        """Return what would fit ('none or relu') when the value does not, else ''."""
        return "" if value in self.one_of else self.text

    @property
    def text(self) -> str:
        """What fits, in words."""
        return " or ".join(self.one_of)


def number(value: Quantity) -> str:
    """Return a quantity as text: 65,536, 0.5, 3x3, relu."""
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


class Quantities(Record):
    """Limits by quantity. All shapes are those of one sample; a quantity that an operator does not have is refused.

    Windows (conv2d, depthwise_conv2d, pooling): kernel, stride, dilation as (height, width), each also as `_h` and `_w`; kernel_area;
    pad_top, pad_left, pad_bottom, pad_right; padded: 1 when any of them is not 0 (whether a file says SAME or VALID is not kept).
    space_to_batch_nd: padded. pad: splits (1 when it was that of a SPACE_TO_BATCH_ND around a convolution).
    transpose_conv2d: output_padding (height, width), same (1 when the file says SAME).
    activation: the fused one by name (of a relu: its own); none or relu where that leaves the same integers of the output.
    states_relu: 1 when the file names a fused relu, whatever integers it leaves.
    Channels: in_channels, out_channels (last dimension), groups, group_channels (input channels per group), depth_multiplier.
    Tensors: batch (declared), rank, in_h, in_w, in_plane (height x width), out_h, out_w, out_plane, out_rank, in_elements,
    out_elements, largest_dimension and smallest_dimension (batch left out), all_but_two (largest product of all dimensions but two),
    inputs (number of activations read), from_float (1 when the first of them is a float, else 0).
    Weights: weights (how many), weight_bytes (at their width), weight_sum (largest sum of absolute stored weights of an output
    channel), bias_largest (largest absolute stored bias).
    mean: axes (which are reduced, the batch is 0), reduced (elements per output), largest_reduced (longest reduced dimension),
    reduces_channels (1 or 0).
    strided_slice: smallest_step, channel_step. transpose: permutation.
    """

    kernel: Limit | None = None
    kernel_h: Limit | None = None
    kernel_w: Limit | None = None
    kernel_area: Limit | None = None
    stride: Limit | None = None
    stride_h: Limit | None = None
    stride_w: Limit | None = None
    dilation: Limit | None = None
    dilation_h: Limit | None = None
    dilation_w: Limit | None = None
    pad_top: Limit | None = None
    pad_left: Limit | None = None
    pad_bottom: Limit | None = None
    pad_right: Limit | None = None
    padded: Limit | None = None
    splits: Limit | None = None
    output_padding: Limit | None = None
    same: Limit | None = None
    activation: Names | None = None
    states_relu: Limit | None = None
    in_channels: Limit | None = None
    out_channels: Limit | None = None
    groups: Limit | None = None
    group_channels: Limit | None = None
    depth_multiplier: Limit | None = None
    batch: Limit | None = None
    rank: Limit | None = None
    in_h: Limit | None = None
    in_w: Limit | None = None
    in_plane: Limit | None = None
    out_h: Limit | None = None
    out_w: Limit | None = None
    out_plane: Limit | None = None
    out_rank: Limit | None = None
    in_elements: Limit | None = None
    out_elements: Limit | None = None
    largest_dimension: Limit | None = None
    smallest_dimension: Limit | None = None
    all_but_two: Limit | None = None
    inputs: Limit | None = None
    from_float: Limit | None = None
    weights: Limit | None = None
    weight_bytes: Limit | None = None
    weight_sum: Limit | None = None
    bias_largest: Limit | None = None
    axes: Limit | None = None
    reduced: Limit | None = None
    largest_reduced: Limit | None = None
    reduces_channels: Limit | None = None
    smallest_step: Limit | None = None
    channel_step: Limit | None = None
    permutation: Limit | None = None

    @cached_property
    def limits(self) -> dict[str, Limit | Names]:
        """The quantities that are limited."""
        return {name: found for name in Quantities.model_fields if (found := getattr(self, name)) is not None}


class Constraint(Quantities):
    """Limits that hold together. formats: only for these, by name (`w8a16`) or by type of activations (`a16`); empty: for all.

    when: only for layers of which all this is true.
    """

    when: Quantities = Quantities()
    formats: tuple[str, ...] = ()
    source: str = ""

    def violation(self, value_of: Callable[[str], Quantity]) -> str:
        """Return the first quantity that does not fit, in words, or ''. value_of: name of a quantity -> what the layer has."""
        conditions = self.when.limits
        if any(limit.missed(value_of(name)) for name, limit in conditions.items()):
            return ""
        for name, limit in self.limits.items():
            value = value_of(name)
            fits = limit.missed(value)
            if fits:
                given = " and ".join(f"{k} {number(value_of(k))}" for k in conditions)
                return f"{name} is {number(value)}{f' with {given}' if given else ''}; {fits} fits"
        return ""

    @property
    def text(self) -> str:
        """The constraint in words, for lists."""
        said = ", ".join(f"{name} {limit.text}" for name, limit in self.limits.items())
        conditions = ", ".join(f"{name} {limit.text}" for name, limit in self.when.limits.items())
        return (f"{', '.join(self.formats)}: " if self.formats else "") + said + (f" when {conditions}" if conditions else "")


class Fallback(Record):
    """Where a layer runs that the target cannot: the profile of its host processor, which gives operators, formats and arithmetic.

    formats: what the host is used for (a network in other formats is not supported, although the host could run it).
    cycles: clock cycles of *this* profile for one cycle that the host's profile estimates (another clock, another core).
    flash_bytes: size of the host's own flash, where its layers, its code and the weights that the target loads from it lie; null: the
    host shares the memories of the target, and its layers count there.
    """

    profile: str
    formats: tuple[str, ...] = Field(min_length=1)
    cycles: Constant
    flash_bytes: int | None = Field(default=None, ge=1024)
    source: str = Field(min_length=3)
