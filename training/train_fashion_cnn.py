"""Train the network of the default study and write studies/models/fashion_cnn.onnx (two to three minutes on two cores).

    python training/train_fashion_cnn.py --data /usr/share/datasets/fashion-mnist

A convolution, four depthwise-separable pairs in two reductions and two residual blocks, a pointwise layer, global pooling and
a dense head. Training sees eleven in twelve training images; the held-out twelfth is for choices; `--test` looks at the test
images.

Nothing here knows about quantization, and no weight is edited after training. The first depthwise layer ends with channels of
very different ranges all the same: batch normalization, folded into a depthwise filter, divides each channel by the spread of
its own input, and some outputs of the first convolution hardly vary (Nagel et al., "Data-Free Quantization Through Weight
Equalization and Bias Correction", ICCV 2019, section 3). One scale for that layer wastes most of sixteen levels; one scale per
channel does not.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

# Threads that sleep while they wait: beside other work on the same cores, spinning ones made training twenty times slower.
os.environ["OMP_WAIT_POLICY"] = "passive"

import torch
from export_onnx import Layer, write_onnx
from fashion_mnist import DEBIAN_FOLDER, TEST_IMAGES, held_out, load
from torch import Tensor, nn
from torch.nn import functional

OUT = Path(__file__).resolve().parent.parent / "studies" / "models" / "fashion_cnn.onnx"
BATCH = 64
PEAK_LR = 0.05
WARM_UP = 0.15  # share of the steps
MOMENTUM = 0.9
# On dense and pointwise filters only: the usual practice for depthwise filters, batch normalization and biases is none.
WEIGHT_DECAY = 5e-4


class Block(nn.Module):
    """Convolution, batch normalization, ReLU unless `relu` is False."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, momentum=0.05)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """float32 [N, I, H, W] -> [N, O, H', W']."""
        x = self.norm(self.conv(x))
        return functional.relu(x) if self.relu else x

    def folded(self, name: str, residual: bool) -> Layer:
        """Return the layer with the normalization's running statistics folded into weight and bias."""
        gain = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        weight = (self.conv.weight * gain[:, None, None, None]).detach().numpy()
        bias = (self.norm.bias - self.norm.running_mean * gain).detach().numpy()
        return Layer(name, weight, bias, self.conv.stride[0], self.conv.groups, self.relu, residual)


class FashionCnn(nn.Module):
    """float32 [N, 1, 28, 28] in 0..1 -> logits [N, 10]. Depthwise and pointwise layers with the same number belong together."""

    def __init__(self, widths: tuple[int, int, int, int] = (32, 48, 96, 176)) -> None:
        super().__init__()
        first, second, third, last = widths
        self.conv1 = Block(1, first, 3)
        self.dw2, self.pw2 = Block(first, first, 3, stride=2, groups=first), Block(first, second)
        self.dw3, self.pw3 = Block(second, second, 3, groups=second), Block(second, second, relu=False)
        self.dw4, self.pw4 = Block(second, second, 3, stride=2, groups=second), Block(second, third)
        self.dw5, self.pw5 = Block(third, third, 3, groups=third), Block(third, third, relu=False)
        self.pw6 = Block(third, last)
        self.fc = nn.Linear(last, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits."""
        x = self.pw2(self.dw2(self.conv1(x)))
        x = functional.relu(self.pw3(self.dw3(x)) + x)
        x = self.pw4(self.dw4(x))
        x = functional.relu(self.pw5(self.dw5(x)) + x)
        return self.fc(self.pw6(x).mean((2, 3)))

    def layers(self) -> list[Layer]:
        """Return the folded convolutions in network order; the ones without ReLU close a residual block."""
        blocks = [(name, block) for name, block in self.named_children() if isinstance(block, Block)]
        return [block.folded(name, residual=not block.relu) for name, block in blocks]


def parameter_groups(net: FashionCnn) -> list[dict[str, object]]:
    """Return the optimizer's groups: weight decay on dense filters, none on depthwise filters, normalization and biases."""
    dense = [b.conv.weight for b in net.children() if isinstance(b, Block) and b.conv.groups == 1]
    dense.append(net.fc.weight)
    chosen = {id(p) for p in dense}
    rest = [p for p in net.parameters() if id(p) not in chosen]
    return [{"params": dense, "weight_decay": WEIGHT_DECAY}, {"params": rest, "weight_decay": 0.0}]


def train(net: FashionCnn, x: Tensor, y: Tensor, epochs: float, seed: int) -> None:
    """Nesterov SGD, linear warm-up then linear decay to zero, random left-right mirroring."""
    random = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(parameter_groups(net), lr=PEAK_LR, momentum=MOMENTUM, nesterov=True)
    steps = int(epochs * len(x) / BATCH)
    order = torch.cat([torch.randperm(len(x), generator=random) for _ in range(int(np.ceil(epochs)))])
    net.train()
    for step in range(steps):
        done = step / steps
        for group in optimizer.param_groups:
            group["lr"] = PEAK_LR * min(done / WARM_UP, (1 - done) / (1 - WARM_UP))
        picked = order[step * BATCH : (step + 1) * BATCH]
        mirrored = torch.rand(len(picked), generator=random) < 0.5
        images = torch.where(mirrored[:, None, None, None], x[picked].flip(3), x[picked])
        loss = functional.cross_entropy(net(images), y[picked])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 500 == 0:
            print(f"step {step:5d} of {steps}: loss {loss.item():.3f}", flush=True)


@torch.no_grad()
def accuracy(net: FashionCnn, x: Tensor, y: Tensor) -> float:
    """Return top-1 in percent."""
    net.eval()
    right = sum(int((net(a).argmax(1) == b).sum()) for a, b in zip(x.split(1000), y.split(1000), strict=True))
    return 100 * right / len(x)


def as_tensors(x: np.ndarray, y: np.ndarray) -> tuple[Tensor, Tensor]:
    """uint8 [N, 28, 28] and uint8 [N] -> float32 [N, 1, 28, 28] in 0..1 and int64 [N]."""
    images = torch.from_numpy(x[:, None].astype(np.float32) / np.float32(255))
    return images.contiguous(memory_format=torch.channels_last), torch.from_numpy(y.astype(np.int64))


def main() -> None:
    """Train, export, and print what the network reaches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=DEBIAN_FOLDER, help="folder with the IDX files, or an .npz (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="file to write (default: %(default)s)")
    parser.add_argument("--epochs", type=float, default=3.0, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--test", action="store_true", help="also print the accuracy on the test images: when all is chosen")
    args = parser.parse_args()
    torch.set_num_threads(2)  # the order of float sums depends on it
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(args.seed)

    data = load(args.data)
    kept_out = held_out(len(data["x_train"]))
    net = FashionCnn().to(memory_format=torch.channels_last)
    start = time.perf_counter()
    train(net, *as_tensors(data["x_train"][~kept_out], data["y_train"][~kept_out]), args.epochs, args.seed)
    seconds = time.perf_counter() - start
    layers, fc = net.layers(), net.fc
    count = sum(layer.weight.size + layer.bias.size for layer in layers) + fc.weight.numel() + fc.bias.numel()
    origin = f"seed {args.seed}, {args.epochs:g} epochs, torch {torch.__version__}"
    notes = f"Fashion-MNIST classifier; image float32 0..1; {count} parameters; {origin}"
    write_onnx(args.out, layers, fc.weight.detach().numpy(), fc.bias.detach().numpy(), notes)
    chosen = accuracy(net, *as_tensors(data["x_train"][kept_out], data["y_train"][kept_out]))
    print(f"{args.out}: {count} parameters, {seconds:.0f} s of training")
    print(f"held-out top-1 {chosen:.2f} % on {kept_out.sum()} images")
    if args.test:
        test = as_tensors(data["x_test"][:TEST_IMAGES], data["y_test"][:TEST_IMAGES])
        print(f"test top-1 {accuracy(net, *test):.2f} % on {TEST_IMAGES} images")


if __name__ == "__main__":
    main()
