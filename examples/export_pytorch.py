"""PyTorch -> ONNX: torch.export, then the ONNX exporter. Writes cnn.onnx, encoder.onnx, encoder_int8.onnx into this folder."""

import numpy as np
import onnx
import onnxruntime.quantization as ort_quantization
import torch
from torch import nn


class Block(nn.Module):
    """Depthwise convolution, hard-swish, 1 x 1 convolution, and the way round them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.mix = nn.Conv2d(width, width, 1)
        self.act = nn.Hardswish()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.mix(self.act(self.norm(self.conv(x))))


class Encoder(nn.Module):
    """A small text classifier: token ids [N, 16] -> 4 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, activation="gelu")
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 4)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(self.embed(tokens)).mean(dim=1))


def export(model: nn.Module, example: torch.Tensor, path: str) -> None:
    """Export with an open batch; the example has two samples, because torch takes a size of 1 as fixed."""
    program = torch.export.export(model.eval(), (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.onnx.export(program, (), path, external_data=False, verbose=False)


def main() -> None:
    """Export two float networks, and the encoder once more with int8 weights (ONNX Runtime's dynamic quantization)."""
    torch.manual_seed(0)
    first = nn.Conv2d(3, 16, 3, stride=2, padding=1)
    last = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)
    cnn = nn.Sequential(first, nn.ReLU(), Block(16), Block(16), *last)
    export(cnn, torch.zeros(2, 3, 32, 32), "cnn.onnx")
    export(Encoder(), torch.from_numpy(np.zeros((2, 16), np.int64)), "encoder.onnx")
    encoder = onnx.load("encoder.onnx")
    del encoder.graph.value_info[
        :
    ]  # shapes of inner tensors as exported; the quantizer turns weights and then finds them wrong
    ort_quantization.quantize_dynamic(encoder, "encoder_int8.onnx", op_types_to_quantize=["MatMul", "Gemm"])


if __name__ == "__main__":
    main()
