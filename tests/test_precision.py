"""Formats and plans: the whole grammar, both ways; what is no format; plans as values."""

from __future__ import annotations

from itertools import product

import pytest

from workbench.errors import InputError
from workbench.numerics.codings import CODINGS, SPARSE
from workbench.precision import (
    FLOAT8,
    FLOATS,
    GRAMMAR,
    STANDARD_FORMATS,
    TYPE_BITS,
    PrecisionPlan,
    format_name,
    is_float,
    parse_format,
)
from workbench.tensor import STORAGE

WIDTHS, ACTIVATIONS = ("8", "7", "4", "2", "1", "b", "t"), ("16", "8", "4", "2")
INTEGERS = [f"w{w}a{a}{end}" for w, a, end in product(WIDTHS, ACTIVATIONS, ("", "-per-tensor"))]
DYNAMIC = [f"w{w}a8-dynamic{end}" for w, end in product(("8", "4", "2"), ("", "-per-tensor"))]
DENSE = [*INTEGERS, *FLOATS, *FLOAT8]
CODED = [f"{c}-{f}" for c, f in product((c for c in CODINGS if c != SPARSE), ("fp16", "bf16", "fp32"))]
EVERY = [*DENSE, *(f"{name}-{SPARSE}" for name in DENSE), *CODED, *DYNAMIC]


@pytest.mark.parametrize("name", EVERY)
def test_every_name_of_the_grammar_comes_back(name: str) -> None:
    fmt = parse_format(name)
    assert fmt.name == name
    assert format_name(fmt.weight, fmt.activation, fmt.granularity, fmt.coding) == name
    assert {fmt.weight, fmt.activation, fmt.bias, fmt.output} <= TYPE_BITS.keys() & STORAGE.keys()
    assert fmt.is_float == is_float(fmt.activation)
    assert 0 < fmt.weight_bits <= 33 and fmt.activation_bits in (2, 4, 8, 16, 32)


def test_standard_formats_are_of_the_grammar_and_named_once() -> None:
    assert set(STANDARD_FORMATS) <= set(EVERY) and len(set(STANDARD_FORMATS)) == len(STANDARD_FORMATS)
    assert {f.removesuffix("-fp16") for f in STANDARD_FORMATS if f in CODED} == CODINGS.keys() - {SPARSE}
    assert all(coding in GRAMMAR for coding in CODINGS)


@pytest.mark.parametrize(
    ("name", "weight", "activation", "bias", "output", "coding", "weight_bits"),
    [
        ("w8a8", "int8", "int8", "int32", "int8", "", 8), ("w8a16", "int8", "int16", "int64", "int16", "", 8),
        ("w4a4", "int4", "int4", "int32", "int4", "", 4), ("wta8-per-tensor", "ternary", "int8", "int32", "int8", "", 2),
        ("wba8-per-tensor", "binary", "int8", "int32", "int8", "", 1), ("w1a8-per-tensor", "int1", "int8", "int32", "int8", "", 1),
        ("w7a8", "int7", "int8", "int32", "int8", "", 8), ("w8a8-2:4", "int8", "int8", "int32", "int8", SPARSE, 5),
        ("fp8", "float8_e4m3", "float8_e4m3", "float16", "float16", "", 8), ("fp16-2:4", *["float16"] * 4, SPARSE, 9),
        ("bf16", *["bfloat16"] * 4, "", 16), ("tf32", *["tfloat32"] * 4, "", 32), ("fp32", *["float32"] * 4, "", 32),
        ("q4_0-fp16", *["float16"] * 4, "q4_0", 4.5), ("mxfp6_e3m2-bf16", *["bfloat16"] * 4, "mxfp6_e3m2", 6.25),
        ("w8a8-dynamic", "int8", "float32", "float32", "float32", "", 8), ("w4a8-dynamic-per-tensor", "int4", *["float32"] * 3, "", 4),
        ("nf4-fp32", *["float32"] * 4, "nf4", 4.5), ("int4-fp16", *["float16"] * 4, "int4", 4),
    ],
)  # fmt: skip
def test_what_a_layer_computes_in(
    name: str, weight: str, activation: str, bias: str, output: str, coding: str, weight_bits: float
) -> None:
    fmt = parse_format(name)
    assert (fmt.weight, fmt.activation, fmt.bias, fmt.output, fmt.coding) == (weight, activation, bias, output, coding)
    assert fmt.weight_bits == weight_bits


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("w8a9", "w8a8"), ("w3a8", "w8a8"), ("w8", "w8a8"), ("w8a8\n", "w8a8"), ("W2A16", "w2a16"),
        ("w4a8-pertensor", "w4a8-per-tensor"), ("fp17", "fp16"), ("int8", "w8a8"), ("fp8-e4m3", "fp8"),
        ("FP8-E5M2", "fp8-e5m2"), ("w8a8-2:4-2:4", "w8a8-2:4"), ("2:4", ""),
        ("q4_0", "q4_0-fp16"), ("q4_2-fp16", "q4_1-fp16"), ("q4_0-fp16-2:4", "q4_0-fp16"), ("mxfp6-e3m2-fp16", "mxfp6_e3m2-fp16"),
        ("nf4-int8", "nf4-fp16"), ("tq1_0-tf32", "tq1_0-fp16"), ("", ""), ("what", ""),
    ],
)  # fmt: skip
def test_other_names_are_refused_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_format(name)
    hint = f" Did you mean '{near}'?" if near else ""
    assert str(refused.value) == f"unknown format '{name}'.{hint}\n{GRAMMAR}"


@pytest.mark.parametrize(("kind", "name"), [("int8", "a8"), ("int16", "a16"), ("int4", "a4"), ("int2", "a2"), ("float16", "fp16"),
                                            ("float8_e5m2", "fp8-e5m2"), ("tfloat32", "tf32")])  # fmt: skip
def test_types_without_weights_have_names_too(kind: str, name: str) -> None:
    assert format_name(None, kind) == name


def test_plan_is_canonical() -> None:
    a = PrecisionPlan.of("w8a8", {"b": "w4a8", "a": "w8a8"})
    assert a == PrecisionPlan.of("w8a8", [("b", "w4a8")])
    assert a.format_of("a").name == "w8a8"
    assert a.format_of("b").name == "w4a8"
    assert a.label() == "w8a8 + b:w4a8"
    assert a.replace({"b": "w8a8"}) == PrecisionPlan.of("w8a8")


def test_plan_names_unknown_layers() -> None:
    with pytest.raises(InputError, match="Did you mean 'conv1'"):
        PrecisionPlan.of("w8a8", {"conv2": "w4a8"}).check_layers(["conv1", "fc"])
