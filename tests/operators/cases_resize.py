"""Pictures in other sizes: nearest and bilinear, all coordinates, all types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.loaders.tflite_writer import T, const
from tests.operators.case import LITERT, TFLITE, Case
from tests.operators.cases_uint8 import feed, op_case
from workbench.ops._resize import COORDINATES as COORDINATES_ONNX
from workbench.ops.resize_nearest import ROUNDINGS

SHAPES = [  # input, output size
    ((1, 3, 4, 3), (7, 9)), ((1, 8, 9, 2), (3, 4)), ((2, 5, 5, 1), (10, 10)), ((1, 1, 1, 4), (3, 2)), ((1, 4, 6, 5), (1, 1)),
    ((1, 6, 7, 17), (6, 7)), ((1, 7, 3, 2), (5, 13)), ((1, 26, 3, 2), (22, 5)),
]  # fmt: skip
COORDINATES = {"asymmetric": (False, False), "corners": (True, False), "half pixel": (False, True)}
QUANT: dict[Any, dict[str, Any]] = {
    np.float32: {}, np.int8: {"scale": [0.05], "zero": [3]}, np.int16: {"scale": [0.001], "zero": [0]},
    np.uint8: {"scale": [0.05], "zero": [131]},
}  # fmt: skip


def cases() -> Iterator[Case]:
    for kind, options in (
        ("RESIZE_BILINEAR", "ResizeBilinearOptions"), ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"),
    ):  # fmt: skip
        for dtype in QUANT:
            for k, (shape, size) in enumerate(SHAPES):
                for name, (corners, half) in COORDINATES.items():
                    if dtype != np.int8 and (k + len(name)) % 3 == 0:
                        continue
                    x = T(shape, dtype, "x", **QUANT[dtype])
                    y = T((shape[0], *size, shape[3]), dtype, "y", **QUANT[dtype])
                    sizes = f"{shape[1]}x{shape[2]}x{shape[3]} to {size[0]}x{size[1]} {name}"
                    fields = {"AlignCorners": corners, "HalfPixelCenters": half}
                    yield op_case(
                        kind,
                        sizes,
                        [x, const(size, np.int32)],
                        y,
                        (options, fields),
                        oracles=_oracles(kind, dtype),
                        types=np.dtype(dtype).name,
                    )
    yield from onnx_cases()
    yield from between_conversions()


def _oracles(kind: str, dtype: Any) -> tuple[str, ...]:
    return TFLITE if dtype in (np.float32, np.int8) else LITERT


# -- ONNX ---------------------------------------------------------------------------------------------------------------------


def onnx_cases() -> Iterator[Case]:
    x = (2, 3, 5, 6)
    up, down, odd = [1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 0.6, 0.5], [1.0, 1.0, 1.7, 2.3]
    for name, scales in (("up", up), ("down", down), ("odd", odd)):
        for coordinates in COORDINATES_ONNX:
            for mode in ("linear", "cubic"):
                attrs = {"mode": mode, "coordinate_transformation_mode": coordinates}
                yield onnx_case("Resize", f"{mode} {coordinates} {name}", x, attrs, scales=scales)
            for rounding in ROUNDINGS if name != "odd" else ("round_prefer_floor",):
                attrs = {"mode": "nearest", "coordinate_transformation_mode": coordinates, "nearest_mode": rounding}
                yield onnx_case("Resize", f"nearest {coordinates} {rounding} {name}", x, attrs, scales=scales)
    for mode in ("nearest", "linear"):
        yield onnx_case("Resize", f"{mode} by sizes", x, {"mode": mode}, sizes=[2, 3, 7, 13])
        yield onnx_case("Resize", f"{mode} of spatial axes", x, {"mode": mode, "axes": [2, 3]}, sizes=[8, 3], opset=18)
        yield onnx_case("Resize", f"{mode} of a line", (1, 4, 9), {"mode": mode}, scales=[1.0, 1.0, 2.5])
        yield onnx_case("Resize", f"{mode} before coordinates", x, {"mode": mode}, scales=up, opset=10)
        yield onnx_case("Resize", f"{mode} smaller before coordinates", x, {"mode": mode}, scales=down, opset=10)
        yield onnx_case("Upsample", mode, x, {"mode": mode}, scales=[1.0, 1.0, 2.0, 3.0], opset=9)
    attrs = {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1}
    yield onnx_case("Resize", "cubic without outside", x, attrs, scales=odd)


def onnx_case(
    op: str, name: str, shape: tuple[int, ...], attrs: dict[str, Any], scales: list[float] | None = None,
    sizes: list[int] | None = None, opset: int = 13,
) -> Case:  # fmt: skip
    """Return a case of one node on float32."""

    def model() -> bytes:
        constants, inputs = {}, ["x"]
        if opset >= 11:
            inputs += ["", "scales" if scales else ""]
        elif scales:
            inputs += ["scales"]
        if scales:
            constants["scales"] = np.array(scales, np.float32)
        if sizes:
            constants["sizes"] = np.array(sizes, np.int64)
            inputs += ["sizes"]
        graph = helper.make_graph(
            [helper.make_node(op, inputs, ["y"], **attrs)], "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(v, k) for k, v in constants.items()],
        )  # fmt: skip
        return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString())

    return Case(op, "onnx", "float32", name, model, feed(shape, seed=name, dtype=np.float32), ("onnxruntime",))


def between_conversions() -> Iterator[Case]:
    """Resize between DequantizeLinear and QuantizeLinear."""
    for dtype in (np.int8, np.uint8):
        for mode in ("nearest", "linear"):
            for coordinates, scales in (
                ("asymmetric", [1.0, 1.0, 2.0, 2.0]),
                ("half_pixel", [1.0, 1.0, 2.0, 2.0]),
                ("half_pixel", [1.0, 1.0, 0.6, 1.7]),
            ):

                def model(
                    dtype: Any = dtype, mode: str = mode, coordinates: str = coordinates, scales: list[float] = scales
                ) -> bytes:
                    grid = ["s", "z"]
                    nodes = [
                        helper.make_node("QuantizeLinear", ["x", *grid], ["q"]),
                        helper.make_node("DequantizeLinear", ["q", *grid], ["d"]),
                        helper.make_node("Resize", ["d", "", "scales"], ["r"], mode=mode, coordinate_transformation_mode=coordinates),
                        helper.make_node("QuantizeLinear", ["r", *grid], ["p"]),
                        helper.make_node("DequantizeLinear", ["p", *grid], ["y"]),
                    ]  # fmt: skip
                    constants = {"s": np.float32(0.05), "z": np.array(3, dtype), "scales": np.array(scales, np.float32)}
                    graph = helper.make_graph(
                        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 5, 6])],
                        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
                    )  # fmt: skip
                    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
                    return bytes(made.SerializeToString())

                name = f"{mode} {coordinates} {scales[2]:g} {scales[3]:g} between DQ and Q"
                feeds = feed((1, 4, 5, 6), seed=name, dtype=np.float32)
                yield Case("Resize", "onnx", np.dtype(dtype).name, name, model, feeds, ("onnxruntime",))
