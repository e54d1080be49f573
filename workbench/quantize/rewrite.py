"""One pass over a graph for one plan: types, scales, integer constants, conversions where neighbours differ."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.graph.ir import Graph, Node, Tensor
from workbench.ops import OPS
from workbench.ops.base import NoAttrs, OpSpec
from workbench.precision import Format, PrecisionPlan
from workbench.quantize.ranges import params_from_range, real_constant
from workbench.tensor import QuantParams

if TYPE_CHECKING:
    from workbench.quantize.lower import Lowering


class Rewriter:
    """One pass over the nodes for one plan."""

    def __init__(self, lowering: Lowering, plan: PrecisionPlan) -> None:
        self.low, self.plan, self.graph = lowering, plan, lowering.graph
        self.types = lowering.activation_types(plan)
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.stored: dict[str, Tensor] = {}

    def run(self) -> Graph:
        for name in self.graph.inputs:
            self._put(self.graph.tensors[name])
        for node in self.graph.nodes:
            self._rewrite(node)
        outputs = []
        for name in self.graph.outputs:
            want = self.graph.tensors[name]
            have = self.stored[name]
            outputs.append(
                name if have.dtype == want.dtype else self._convert(have, want.dtype, want.quant, f"{name}:{want.dtype}")
            )
        names = dict(self.graph.input_names)
        graph = replace(self.graph, outputs=tuple(outputs), input_names=names)
        return graph.with_nodes(self.nodes, self.tensors)

    def _put(self, tensor: Tensor) -> Tensor:
        self.tensors[tensor.name] = tensor
        self.stored[tensor.name] = tensor
        return tensor

    def _rewrite(self, node: Node) -> None:
        spec, dtype = OPS[node.op], self.types[node.name]
        layer = node.name in self.low.layer_set
        fmt = self.plan.format_of(node.name) if layer else None
        names = list(node.inputs)
        shared = self._shared_params(node, spec, dtype)
        for i, name in enumerate(node.inputs):
            tensor = self.graph.tensors.get(name)
            if tensor is None or (spec.weights is not None and layer and i in (spec.weights.index, spec.weights.bias)):
                continue
            if tensor.is_constant:
                names[i] = self._constant_input(tensor, node, dtype, shared)
            else:
                names[i] = self._activation_input(tensor.name, dtype, shared)
        if fmt is not None:
            self._weights(node, spec, fmt, names)
        outputs = [self._output(node, spec, name, dtype, names, shared) for name in node.outputs]
        self.nodes.append(replace(node, inputs=tuple(names), outputs=tuple(outputs)))

    def _shared_params(self, node: Node, spec: OpSpec, dtype: str) -> QuantParams | None:
        return self.low.params(node.outputs[0], dtype) if spec.output_quant == "shared" else None

    def _activation_input(self, name: str, dtype: str, shared: QuantParams | None) -> str:
        have = self.stored[name]
        want = shared if shared is not None else (have.quant if have.dtype == dtype else self.low.params(name, dtype))
        if have.dtype == dtype and (have.quant == want):
            return have.name
        suffix = (
            dtype if have.dtype != dtype else f"{dtype}@{float(want.scale[0]):.6g},{int(want.zero_point[0])}" if want else dtype
        )
        return self._convert(have, dtype, want, f"{name}:{suffix}")

    def _convert(self, have: Tensor, dtype: str, params: QuantParams | None, name: str) -> str:
        if name not in self.tensors:
            self.tensors[name] = Tensor(name, have.shape, dtype, params)
            both_float = have.dtype.startswith("float") and dtype.startswith("float")
            op = "cast" if both_float else "dequantize" if dtype.startswith("float") else "quantize"
            self.nodes.append(Node(name, op, (have.name,), (name,), NoAttrs(), f"conversion of '{have.name}' to {dtype}"))
        return name

    def _constant_input(self, tensor: Tensor, node: Node, dtype: str, shared: QuantParams | None) -> str:
        if tensor.dtype in ("int32", "int64", "bool") and tensor.quant is None:
            return self._put_constant(tensor, node)
        if tensor.quant is not None and tensor.dtype == dtype:
            params: QuantParams | None = tensor.quant
        elif dtype.startswith("float"):
            params = None
        else:
            real = real_constant(tensor)
            params = shared or params_from_range(float(real.min()), float(real.max()), dtype)
        made = self.low.constant(tensor, dtype, params) if params is not tensor.quant or tensor.dtype != dtype else tensor
        return self._put_constant(made, node)

    def _put_constant(self, tensor: Tensor, node: Node) -> str:
        """Add a lowered constant; one that several nodes read gets a name per node, since each may need another scale."""
        if len(self.graph.consumers[tensor.name]) > 1:
            tensor = replace(tensor, name=f"{tensor.name}@{node.name}")
        self.tensors[tensor.name] = tensor
        return tensor.name

    def _weights(self, node: Node, spec: OpSpec, fmt: Format, names: list[str]) -> None:
        assert spec.weights is not None
        w = self.low.weights(self.graph.tensors[node.inputs[spec.weights.index]], fmt, spec.weights.channel_axis)
        names[spec.weights.index] = self._put_constant(w, node)
        if spec.weights.bias < len(node.inputs) and node.inputs[spec.weights.bias]:
            source = self.graph.tensors[node.inputs[spec.weights.bias]]
            b = self.low.bias(source, self.tensors[names[0]].quant, w, fmt)
            names[spec.weights.bias] = self._put_constant(b, node)

    def _output(self, node: Node, spec: OpSpec, name: str, dtype: str, names: list[str], shared: QuantParams | None) -> str:
        original = self.graph.tensors[name]
        if original.dtype in ("int32", "int64", "bool") and original.quant is None:
            return self._put(original).name
        params = self.low.params(name, dtype)
        own_file_scale = original.quant is not None and original.dtype == dtype
        if spec.output_quant == "input" and params is not None and not own_file_scale:
            params = self.tensors[names[0]].quant
        return self._put(replace(original, dtype=dtype, quant=params)).name
