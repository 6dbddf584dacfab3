"""Networks as other people write them, for checkpoints that nobody here made: plain torch, their own names."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ForeignResNet(nn.Module):
    """Names as in open_lth's CIFAR ResNets."""

    def __init__(self, blocks: int, width: int, channels: int = 3, classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        made, here = [], width
        for there, first in ((width, 1), (2 * width, 2), (4 * width, 2)):
            for k in range(blocks):
                made.append(ForeignBlock(here, there, first if k == 0 else 1))
                here = there
        self.blocks = nn.Sequential(*made)
        self.fc = nn.Linear(here, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.bn(self.conv(x))))
        return self.fc(F.avg_pool2d(x, x.shape[-1]).flatten(1))


class ForeignBlock(nn.Module):
    def __init__(self, here: int, there: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(here, there, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(there)
        self.conv2 = nn.Conv2d(there, there, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(there)
        self.shortcut = nn.Sequential()
        if here != there:
            self.shortcut = nn.Sequential(nn.Conv2d(here, there, 1, stride, bias=False), nn.BatchNorm2d(there))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += self.shortcut(x)
        return F.relu(y)


PLANS = {
    11: "1 M 2 M 4 4 M 8 8 M 8 8 M",
    13: "1 1 M 2 2 M 4 4 M 8 8 M 8 8 M",
    16: "1 1 M 2 2 M 4 4 4 M 8 8 8 M 8 8 8 M",
    19: "1 1 M 2 2 M 4 4 4 4 M 8 8 8 8 M 8 8 8 8 M",
}


class ForeignVGG(nn.Module):
    """`features` and `classifier` as in torchvision, or with one linear layer behind the features."""

    def __init__(self, depth: int, width: int, norm: bool, classifier: str, channels: int = 3) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        for entry in PLANS[depth].split():
            if entry == "M":
                modules.append(nn.MaxPool2d(2, 2))
                continue
            modules.append(nn.Conv2d(channels, int(entry) * width, 3, padding=1))
            channels = int(entry) * width
            if norm:
                modules.append(nn.BatchNorm2d(channels))
            modules.append(nn.ReLU(inplace=True))
        self.features = nn.Sequential(*modules)
        self.pool = nn.AdaptiveAvgPool2d(7 if classifier == "three" else 1)
        hidden = 64 * width
        self.classifier = {
            "three": lambda: nn.Sequential(
                nn.Linear(channels * 49, hidden),
                nn.ReLU(True),
                nn.Dropout(),
                nn.Linear(hidden, hidden),
                nn.ReLU(True),
                nn.Dropout(),
                nn.Linear(hidden, 10),
            ),
            "one": lambda: nn.Linear(channels, 10),
            "one in a sequence": lambda: nn.Sequential(nn.Linear(channels, 10)),
        }[classifier]()

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.pool(self.features(x)), 1))


class ForeignLayer(nn.Module):
    def __init__(self, here: int, there: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(here, there, kernel_size=3, padding=1)
        self.bn = nn.BatchNorm2d(there)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class ForeignLotteryVGG(nn.Module):
    """Names as in open_lth's VGG: no pooling after the last stage, whose 2x2 pixels are averaged."""

    def __init__(self, depth: int, width: int, here: int = 3) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        for entry in PLANS[depth].split()[:-1]:
            modules.append(nn.MaxPool2d(2) if entry == "M" else ForeignLayer(here, int(entry) * width))
            here = here if entry == "M" else int(entry) * width
        self.layers = nn.Sequential(*modules)
        self.fc = nn.Linear(here, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.avg_pool2d(self.layers(x), 2).flatten(1))


class Perceptron(nn.Module):
    """Layers called fc1, fc2, fc3."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(64, 12), nn.Linear(12, 12), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class Listed(nn.Module):
    """An nn.ModuleList with the activation in `forward`."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(64, 12), nn.Linear(12, 12), nn.Linear(12, 10)])

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


def named(prefix: str, module: nn.Module) -> nn.Module:
    """`module` as the child `prefix` of another that only calls it."""

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module(prefix, module)

        def forward(self, x: Tensor) -> Tensor:
            return getattr(self, prefix)(x)

    return Outer()


def perceptron(norm: str = "none", drop: bool = False, flatten: bool = True, hidden: int = 3) -> nn.Sequential:
    """An nn.Sequential of linear layers of 12 units."""
    modules: list[nn.Module] = [nn.Flatten()] if flatten else []
    here = 64
    for _ in range(hidden):
        modules.append(nn.Linear(here, 12))
        modules += {"none": [], "layer": [nn.LayerNorm(12)], "batch": [nn.BatchNorm1d(12)]}[norm]
        modules += [nn.ReLU()] + [nn.Dropout(0.3)] * drop
        here = 12
    return nn.Sequential(*modules, nn.Linear(here, 10))


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in float64 and eval mode with random norms and statistics; weights as initialised."""
    torch.manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point() and (tensor.ndim == 1):
                tensor.copy_(torch.rand_like(tensor) + (0.5 if name.endswith(("weight", "var")) else -0.5))
    return module
