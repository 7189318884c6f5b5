import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from nin_bench.cost import LayerCount, count_model
from nin_bench.cost.counting import count_network
from nin_bench.errors import SpecError
from nin_bench.models import ImageSpec, build_model, list_models
from nin_bench.results.cost_entry import Breakdown

NOTEBOOKS = ImageSpec(channels=1, resolution=224, num_classes=10)
IMAGENET = ImageSpec(channels=3, resolution=224, num_classes=1000)
MNIST = ImageSpec(channels=1, resolution=28, num_classes=10)
CIFAR10 = ImageSpec(channels=3, resolution=32, num_classes=10)
CIFAR100 = ImageSpec(channels=3, resolution=32, num_classes=100)


@pytest.mark.parametrize(
    ("name", "image", "arguments", "num_params"),
    [
        ("nin", NOTEBOOKS, {"pointwise": 0}, 1_546_058),
        ("nin", NOTEBOOKS, {"pointwise": 1}, 1_769_112),
        ("nin", NOTEBOOKS, {"pointwise": 2}, 1_992_166),
        ("nin", NOTEBOOKS, {"pointwise": 3}, 2_215_220),
        ("nin", NOTEBOOKS, {"pointwise_relu": False}, 1_992_166),
        ("nin", NOTEBOOKS, {"final_relu": False}, 1_992_166),
        ("nin", NOTEBOOKS, {"class_pointwise": 0}, 1_992_166 - 2 * (10 * 10 + 10)),
        # each of the 1×1 layers gets nine weights where it had one
        ("nin", NOTEBOOKS, {"pointwise_kernel": 3}, 1_992_166 + 2 * 8 * (96**2 + 256**2 + 384**2 + 10**2)),
        ("nin", NOTEBOOKS, {"head": "gap"}, 1_992_166),
        ("nin", NOTEBOOKS, {"head": "gap_linear"}, 1_992_166 - 34_790 + 384 * 10 + 10),
        ("nin", NOTEBOOKS, {"head": "fc_maps"}, 1_994_676),
        ("nin", NOTEBOOKS, {"head": "fc_linear"}, 2_053_386),
        ("nin", NOTEBOOKS, {"head": "fc"}, 58_105_354),
        ("lenet", MNIST, {}, 61_706),
        ("lenet", MNIST, {"activation": "relu"}, 61_706),
        ("alexnet", NOTEBOOKS, {}, 46_764_746),
        ("vgg11", NOTEBOOKS, {}, 128_806_154),
        ("vgg11", NOTEBOOKS, {"width": 0.25}, 43_093_322),
        ("alexnet", IMAGENET, {"layout": "torchvision"}, 61_100_840),
        ("vgg11", IMAGENET, {}, 132_863_336),
        ("vgg13", IMAGENET, {}, 133_047_848),
        ("vgg16", IMAGENET, {}, 138_357_544),
        ("vgg19", IMAGENET, {}, 143_667_240),
        ("vgg11", IMAGENET, {"batch_norm": True}, 132_868_840),
        ("vgg13", IMAGENET, {"batch_norm": True}, 133_053_736),
        ("vgg16", IMAGENET, {"batch_norm": True}, 138_365_992),
        ("vgg19", IMAGENET, {"batch_norm": True}, 143_678_248),
        ("nin_cifar", CIFAR10, {}, 966_986),
        ("nin_cifar", CIFAR100, {}, 984_356),
        ("nin_mnist", MNIST, {}, 349_674),
        ("mlp", MNIST, {"hidden": 256}, 784 * 256 + 256 + 256 * 10 + 10),
    ],
)
def test_parameters(name, image, arguments, num_params):
    assert count_model(name, image, **arguments).num_params.total == num_params


@pytest.mark.parametrize(
    ("name", "image", "arguments", "num_macs"),
    [
        ("nin", NOTEBOOKS, {"pointwise": 0}, 577_472_640),
        ("nin", NOTEBOOKS, {"pointwise": 1}, 669_884_996),
        ("nin", NOTEBOOKS, {"pointwise": 2}, 762_297_352),
        ("nin", NOTEBOOKS, {"pointwise": 3}, 854_709_708),
        ("nin", NOTEBOOKS, {"pointwise_relu": False}, 762_297_352),
        ("lenet", MNIST, {}, 416_520),
        ("alexnet", NOTEBOOKS, {}, 938_146_176),
        ("vgg11", NOTEBOOKS, {}, 7_547_232_256),
        ("vgg11", NOTEBOOKS, {"width": 0.25}, 512_155_648),
        ("nin_cifar", CIFAR10, {}, 222_486_528),
        ("nin_mnist", MNIST, {}, 50_699_712),
    ],
)
def test_macs(name, image, arguments, num_macs):
    assert count_model(name, image, **arguments).num_macs.total == num_macs


@pytest.mark.parametrize(
    ("name", "image", "weights"),
    [
        ("lenet", MNIST, 48_000),  # 16·5·5·120
        ("alexnet", NOTEBOOKS, 26_214_400),  # 256·5·5·4096
        ("vgg11", NOTEBOOKS, 102_760_448),  # 512·7·7·4096
        ("nin", NOTEBOOKS, None),
    ],
)
def test_weights_of_the_first_dense_layer(name, image, weights):
    assert count_model(name, image).first_dense_weights == weights


def row(layer: LayerCount) -> tuple[object, ...]:
    return layer.name, layer.type, layer.output_shape, layer.num_params, layer.num_macs


def test_nin_row_by_row():
    assert [row(block) for block in count_model("nin", NOTEBOOKS).blocks] == [
        # 54²·(96·11²), and twice 54²·96²
        ("block1", "NiNBlock", (1, 96, 54, 54), 11_712 + 2 * 9_312, 33_872_256 + 2 * 26_873_856),
        ("pool1", "MaxPool2d", (1, 96, 26, 26), 0, 0),
        ("block2", "NiNBlock", (1, 256, 26, 26), 614_656 + 2 * 65_792, 415_334_400 + 2 * 44_302_336),
        ("pool2", "MaxPool2d", (1, 256, 12, 12), 0, 0),
        ("block3", "NiNBlock", (1, 384, 12, 12), 885_120 + 2 * 147_840, 127_401_984 + 2 * 21_233_664),
        ("pool3", "MaxPool2d", (1, 384, 5, 5), 0, 0),
        ("dropout", "Dropout", (1, 384, 5, 5), 0, 0),
        ("class_block", "NiNBlock", (1, 10, 5, 5), 34_570 + 2 * 110, 864_000 + 2 * 2_500),
        ("average", "GlobalAveragePool", (1, 10, 1, 1), 0, 0),
        ("flatten", "Flatten", (1, 10), 0, 0),
    ]


def test_every_layer_of_a_block():
    layers = count_model("nin", NOTEBOOKS, pointwise=1, class_pointwise=0).layers
    assert [(row.name, row.type, row.num_params, row.num_macs) for row in layers[:5]] == [
        ("block1.conv", "Conv2d", 11_712, 33_872_256),
        ("block1.conv_relu", "ReLU", 0, 0),
        ("block1.pointwise1", "Conv2d", 9_312, 26_873_856),
        ("block1.pointwise1_relu", "ReLU", 0, 0),
        ("pool1", "MaxPool2d", 0, 0),
    ]
    assert [row.name for row in layers[-4:]] == [
        "class_block.conv",
        "class_block.conv_relu",
        "average",
        "flatten",
    ]


def test_a_small_network_by_kind_of_layer():
    # 1×99×99 -> 2 maps of 23×23 -> 5 of 11×11 -> 8 of 5×5 -> 3 class maps of 2×2, flattened
    count = count_model("nin", ImageSpec(1, 99, 3), width=1 / 48, head="fc_maps", pointwise=1)
    convolution = (1 * 2 * 121 + 2) + (2 * 5 * 25 + 5) + (5 * 8 * 9 + 8) + (8 * 3 * 9 + 3)
    pointwise = (2 * 2 + 2) + (5 * 5 + 5) + (8 * 8 + 8) + (3 * 3 + 3)
    dense = 12 * 3 + 3
    assert (convolution, pointwise, dense) == (1_086, 120, 39)
    assert count.num_params == Breakdown(total=1_245, convolution=1_086, pointwise=120, dense=39)
    convolution = 23**2 * 242 + 11**2 * 250 + 5**2 * 360 + 2**2 * 216
    pointwise = 23**2 * 4 + 11**2 * 25 + 5**2 * 64 + 2**2 * 9
    assert (convolution, pointwise) == (168_132, 6_777)
    assert count.num_macs == Breakdown(total=174_945, convolution=168_132, pointwise=6_777, dense=36)
    assert count.first_dense_weights == 36


def test_batch_normalisation_counts_in_the_total_alone():
    plain, normalised = (count_model("vgg11", NOTEBOOKS, batch_norm=norm) for norm in (False, True))
    assert normalised.num_params.convolution == plain.num_params.convolution
    # a scale and a shift for each of the 64 + 128 + 2·256 + 4·512 maps
    assert normalised.num_params.total - plain.num_params.total == 2 * 2_752
    assert normalised.num_macs == plain.num_macs


@pytest.mark.parametrize("name", list_models())
def test_rows_add_up_to_the_count(name):
    count = count_model(name, NOTEBOOKS)
    for rows in (count.blocks, count.layers):
        assert sum(row.num_params for row in rows) == count.num_params.total
        assert sum(row.num_macs for row in rows) == count.num_macs.total
        assert rows[-1].output_shape == (1, 10)


@pytest.mark.parametrize("name", list_models())
def test_macs_are_half_of_what_pytorch_counts_as_flops(name):
    image = ImageSpec(3, 80, 10)
    with torch.device("meta"), FlopCounterMode(display=False) as flops:
        build_model(name, image).eval()(torch.empty(1, 3, 80, 80))
    assert 2 * count_model(name, image).num_macs.total == flops.get_total_flops()


def test_training_flops_of_lenet():
    # conv1 reads the image, so that no gradient goes there; forward, weights and inputs of the four others
    conv1, others = 28 * 28 * 6 * 25, 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10
    assert (conv1, others) == (117_600, 298_920)
    assert count_model("lenet", MNIST).training_flops == 2 * (2 * 117_600 + 3 * 298_920) == 2_263_920


@pytest.mark.parametrize("name", list_models())
def test_training_flops_are_those_that_pytorch_counts(name):
    image = ImageSpec(3, 80, 10)
    with torch.device("meta"), FlopCounterMode(display=False) as flops:
        build_model(name, image)(torch.empty(2, 3, 80, 80)).sum().backward()
    assert 2 * count_model(name, image).training_flops == flops.get_total_flops()


def test_counting_refuses_what_cannot_be_built():
    with pytest.raises(SpecError, match=r"^resolution: 66 is too small for these layers; use 67 or more$"):
        count_model("nin", ImageSpec(1, 66, 10))


class Functions(nn.Module):
    """Multiplies without a layer: 3×3 and 1×1 convolutions, a dense product, attention and a product of values."""

    def __init__(self) -> None:
        super().__init__()
        self.window = nn.Parameter(torch.empty(4, 1, 3, 3))
        self.pixel = nn.Parameter(torch.empty(6, 4, 1, 1))
        self.dense = nn.Parameter(torch.empty(10, 6))
        self.norm = nn.BatchNorm2d(6)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = functional.conv2d(functional.conv2d(images, self.window, padding=1), self.pixel)
        values = self.norm(maps).flatten(2).transpose(1, 2)  # (1, 64, 6)
        values = functional.scaled_dot_product_attention(values[:, None], values[:, None], values[:, None])[:, 0]
        values = values @ (values.transpose(1, 2) @ values)  # (1, 64, 6) by (1, 6, 6)
        return functional.linear(values.mean(1), self.dense)


def test_functions_count_as_layers_do():
    with torch.device("meta"):
        count = count_network(Functions(), ImageSpec(1, 8, 10))
    convolution, pointwise, dense = 64 * 4 * 9, 64 * 6 * 4, 6 * 10
    attention, products = 2 * 64 * 64 * 6, 2 * 64 * 6 * 6
    total = convolution + pointwise + dense + attention + products
    assert count.num_macs == Breakdown(total=total, convolution=convolution, pointwise=pointwise, dense=dense)
    assert count.first_dense_weights == 60
    # Only the images have no gradient.
    assert count.training_flops == 6 * total - 2 * convolution
    assert [(layer.name, layer.type, layer.num_params, layer.num_macs) for layer in count.layers] == [
        ("Functions", "Functions", 36 + 24 + 60, total),
        ("norm", "BatchNorm2d", 12, 0),
    ]
    assert count.blocks == count.layers


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(8, 8, bias=False)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.output = nn.Linear(8, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = self.dense(self.dense(images.flatten(1, 2)))  # (1, 8, 8): eight rows of eight pixels
        return self.output(self.attention(values, values, values)[0].mean(1))


def test_attention_by_its_module_and_a_layer_that_is_called_twice():
    with torch.device("meta"):
        count = count_network(Attention(), ImageSpec(1, 8, 10))
    dense, attention, output = count.layers
    # Four projections of eight rows of eight values; then scores, and sums by them.
    assert (attention.kind, attention.num_macs) == ("dense", 4 * 8 * 64 + 2 * 8 * 8 * 8)
    assert attention.num_params == 4 * 64 + 4 * 8
    assert (dense.num_macs, dense.num_params, dense.num_weights_read) == (2 * 8 * 64, 64, 128)
    assert (output.num_macs, output.num_params) == (80, 90)
    assert count.num_macs.dense == count.num_macs.total - 2 * 8 * 8 * 8
    assert count.num_params.total == count.num_params.dense == 288 + 64 + 90


def test_transposed_and_grouped_convolutions():
    with torch.device("meta"):
        network = nn.Sequential(
            nn.Conv2d(2, 4, 3, groups=2), nn.ConvTranspose2d(4, 2, 2, stride=2), nn.Flatten(), nn.Linear(288, 10)
        )
        count = count_network(network, ImageSpec(2, 8, 10))
    # Each of 4 maps of 6×6 sees one input map; each of 36 pixels makes 2×2 in each of two maps.
    assert [layer.num_macs for layer in count.layers] == [36 * 4 * 9, 36 * 4 * 2 * 4, 0, 2880]
    assert [layer.kind for layer in count.layers] == ["convolution", "convolution", "other", "dense"]


def test_a_network_with_weights_counts_as_one_in_shape_only():
    with torch.device("meta"):
        shapes = build_model("lenet", MNIST)
    assert count_network(build_model("lenet", MNIST), MNIST) == count_network(shapes, MNIST)


class Rounded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(784, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.dense(images.flatten(1)).round().long()


class Hidden(Rounded):
    """Its dense layers are in a list of Python's, of which a module knows nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = [nn.Linear(784, 784)]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.dense(self.hidden[0](images.flatten(1)))


class Late(Rounded):
    """It makes its last layer when it is called first."""

    def __init__(self) -> None:
        super().__init__()
        self.scores: nn.Linear | None = None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.dense(images.flatten(1))
        if self.scores is None:
            self.scores = nn.Linear(10, 10)
        return self.scores(features)


class Remembers(Rounded):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.register_buffer("last", images)
        return self.dense(images.flatten(1))


class AlwaysTrains(Rounded):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.dense.train()
        return self.dense(images.flatten(1))


def untrained(*shape: int) -> str:
    return (
        f"takes a weight of shape {shape} that is no parameter of the network as it is built, so that it is never "
        "trained; make layers in __init__, lists of them as nn.ModuleList, tensors as nn.Parameter"
    )


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Hidden(), untrained(784, 784)),
        (Late(), untrained(10, 10)),
        (Remembers(), "adds or removes last; make parameters and buffers in __init__"),
        (AlwaysTrains(), "changes between training and evaluation mode; leave out train() and eval()"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(7, 10)),
            "1 (Linear): RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x784 and 7x10)",
        ),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(784, 7)),
            "returned (1, 7) for 1 image(s), expected a tensor of shape (1, 10), a score for each class",
        ),
        (
            nn.Sequential(nn.AdaptiveAvgPool2d((1, 10)), nn.Flatten()),
            "returned scores in which no weight has a gradient, so nothing can be trained",
        ),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).requires_grad_(False),
            "returned scores in which no weight has a gradient, so nothing can be trained",
        ),
        (Rounded(), "returned scores of torch.int64, expected floating-point numbers"),
    ],
)
def test_a_network_that_cannot_run_is_refused_by_the_layers_own_words(network, message):
    with pytest.raises(SpecError) as refused:
        count_network(network, MNIST)
    assert (refused.value.field, refused.value.message) == ("forward", message)
