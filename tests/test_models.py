import pytest
import torch
from torch import nn

from nin_bench.errors import SpecError
from nin_bench.models import ImageSpec, build_model, list_models
from nin_bench.models.layers import GlobalAveragePool, map_size, scale_channels
from nin_bench.models.nin import NiNBlock

HEADS = ("gap", "gap_linear", "fc", "fc_linear", "fc_maps")
NIN_MODELS = ("nin", "nin_cifar", "nin_mnist")

SMALLEST_RESOLUTION = [
    ("alexnet", {}, 65),
    ("alexnet", {"layout": "torchvision"}, 63),
    ("lenet", {}, 12),
    ("lenet", {"activation": "relu"}, 12),
    *[("nin", {"head": head}, 67) for head in HEADS],
    ("nin", {"pointwise_kernel": 3}, 67),
    ("nin", {"pointwise": 0, "width": 0.25}, 67),
    *[("nin_cifar", {"head": head}, 4) for head in HEADS],
    ("nin_mnist", {}, 4),
    *[(name, {}, 32) for name in ("vgg11", "vgg13", "vgg16", "vgg19", "nin11", "nin16", "nin19")],
]

# Small enough for real gradients, large enough that no map is a single pixel.
TRAINABLE = [
    ("alexnet", 127, {"width": 0.1, "hidden": 16}),
    ("alexnet", 127, {"width": 0.1, "hidden": 16, "layout": "torchvision", "batch_norm": True}),
    ("lenet", 28, {}),
    ("lenet", 16, {"activation": "relu", "batch_norm": True, "width": 2}),
    ("mlp", 8, {"hidden": 16}),
    *[("nin", 99, {"width": 0.1, "hidden": 16, "head": head}) for head in HEADS],
    *[("nin", 99, {"width": 0.1, "pointwise": pointwise}) for pointwise in (0, 1, 3)],
    ("nin", 99, {"width": 0.1, "pointwise": 1, "class_pointwise": 0, "final_relu": False}),
    ("nin", 99, {"width": 0.1, "pointwise_relu": False, "pointwise_kernel": 3}),
    ("nin", 99, {"width": 0.1, "class_staged": True}),
    *[(name, 64, {"width": 0.1, "pointwise": 1, "class_pointwise": 0}) for name in ("nin11", "nin16", "nin19")],
    *[("nin_cifar", 16, {"width": 0.1, "hidden": 16, "head": head}) for head in HEADS],
    *[("nin_mnist", 14, {"width": 0.2, "pointwise": pointwise}) for pointwise in (0, 1, 2, 3)],
    *[
        (name, 64, {"width": 0.1, "hidden": 16, "batch_norm": batch_norm})
        for name in ("vgg11", "vgg13", "vgg16", "vgg19")
        for batch_norm in (False, True)
    ],
]


def sketch(name, image, **arguments):
    with torch.device("meta"):
        return build_model(name, image, **arguments)


def count_layers_of(network, kind):
    return sum(isinstance(layer, kind) for layer in network.modules())


def leaves(network, *without):
    return [str(layer) for layer in network.modules() if not list(layer.children()) and type(layer) not in without]


def test_every_model_is_trained_below():
    assert {name for name, _, _ in TRAINABLE} == set(list_models())


@pytest.mark.parametrize(("name", "resolution", "arguments"), TRAINABLE, ids=str)
def test_every_parameter_gets_a_gradient(name, resolution, arguments):
    torch.manual_seed(0)
    network = build_model(name, ImageSpec(3, resolution, 7), **arguments).double()
    parameters = dict(network.named_parameters())
    for parameter in parameters.values():
        parameter.data.abs_()  # of bright images, then, no ReLU is dead
    logits = network(torch.rand(4, 3, resolution, resolution, dtype=torch.double))
    assert logits.shape == (4, 7)
    (logits * torch.randn(4, 7)).sum().backward()
    for parameter_name, parameter in parameters.items():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        layer, _, kind = parameter_name.rpartition(".")
        if kind == "bias" and f"{layer}_norm.bias" in parameters:
            continue  # the normalisation subtracts the mean, and with it whatever this bias added
        assert parameter.grad.any(), parameter_name


@pytest.mark.parametrize(("name", "arguments", "smallest"), SMALLEST_RESOLUTION, ids=str)
def test_the_smallest_images(name, arguments, smallest):
    network = sketch(name, ImageSpec(2, smallest, 5), **arguments).eval()
    assert network(torch.empty(1, 2, smallest, smallest, device="meta")).shape == (1, 5)
    with pytest.raises(SpecError) as refusal:
        sketch(name, ImageSpec(2, smallest - 1, 5), **arguments)
    assert str(refusal.value) == (
        f"resolution: {smallest - 1} is too small for these layers; use {smallest} or more"
    )


@pytest.mark.parametrize(
    ("name", "width", "message"),
    [
        ("nin", 0.005, "0.005 leaves no channel of 96; use 0.0053 or more"),
        ("nin", 0, "0 leaves no channel of 96; use 0.0053 or more"),
        ("nin", -1, "-1 leaves no channel of 96; use 0.0053 or more"),
        ("nin_cifar", 0.005, "0.005 leaves no channel of 96; use 0.0053 or more"),
        ("nin_mnist", 0.01, "0.01 leaves no channel of 48; use 0.0105 or more"),
        ("lenet", 0.05, "0.05 leaves no channel of 6; use 0.0834 or more"),
        ("alexnet", 0.001, "0.001 leaves no channel of 96; use 0.0053 or more"),
        ("vgg16", 0.001, "0.001 leaves no channel of 64; use 0.0079 or more"),
    ],
)
def test_a_width_that_leaves_no_channel_is_refused(name, width, message):
    with pytest.raises(SpecError) as refusal:
        sketch(name, ImageSpec(1, 224, 10), width=width)
    assert (refusal.value.field, refusal.value.message) == ("width", message)
    smallest = float(message.split()[-3])
    sketch(name, ImageSpec(1, 224, 10), width=smallest)


def test_channels_are_scaled_to_the_nearest_number_halves_up():
    assert scale_channels((96, 256, 384), 0.25) == [24, 64, 96]
    assert scale_channels((10, 30, 50), 0.05) == [1, 2, 3]


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_map_sizes_are_pytorchs(stride, ceil_mode):
    layers = nn.Sequential(
        nn.Conv2d(1, 1, 4, stride=stride, padding=1),
        nn.Sequential(nn.MaxPool2d(3, stride=stride, ceil_mode=ceil_mode), nn.ReLU()),
        nn.AvgPool2d(2, stride=1),
    )
    refused = []
    for resolution in range(1, 60):
        try:
            size = layers(torch.zeros(1, 1, resolution, resolution)).shape[-1]
        except RuntimeError:
            refused.append(resolution)
        else:
            assert map_size(layers, resolution) == size
    remedy = f"use {refused[-1] + 1} or more"
    for resolution in refused:
        with pytest.raises(SpecError, match=remedy):
            map_size(layers, resolution)


def test_the_last_maps_of_nin_at_the_sizes_that_grids_use():
    for resolution, size in ((96, 1), (98, 1), (99, 2), (131, 3), (195, 5), (224, 5)):
        network = sketch("nin", ImageSpec(1, resolution, 10))
        assert map_size(network, resolution) == size


def test_global_average_pooling_is_pytorchs():
    maps = torch.randn(2, 3, 5, 4)
    torch.testing.assert_close(GlobalAveragePool()(maps), nn.AdaptiveAvgPool2d(1)(maps))


def test_a_nin_block_is_a_dense_layer_on_every_pixel():
    torch.manual_seed(0)
    block = NiNBlock(2, [3, 4], 3, padding=1)
    images = torch.randn(1, 2, 5, 5)
    pixel = block.conv(images).relu()[0, :, 1, 2]
    pointwise: nn.Conv2d = block.get_submodule("pointwise1")
    expected = (pointwise.weight[:, :, 0, 0] @ pixel + pointwise.bias).relu()
    torch.testing.assert_close(block(images)[0, :, 1, 2], expected)


def test_blocks_make_the_papers_imagenet_network():
    with torch.device("meta"):
        blocks = [
            NiNBlock(3, [96, 96, 96], 11, stride=4),
            NiNBlock(96, [256, 256, 256], 5, padding=2),
            NiNBlock(256, [384, 384, 384], 3, padding=1),
            NiNBlock(384, [1024, 1024, 1000], 3, padding=1),
        ]
    # as published in Caffe's model zoo
    assert sum(weight.numel() for block in blocks for weight in block.parameters()) == 7_595_176


@pytest.mark.parametrize(
    ("arguments", "relus"),
    [
        ({}, 12),
        ({"final_relu": False}, 11),
        ({"pointwise_relu": False}, 5),  # the first convolutions', and the class maps'
        ({"pointwise_relu": False, "final_relu": False}, 4),
        ({"pointwise": 0}, 4),
        ({"pointwise": 0, "final_relu": False}, 3),
        ({"pointwise": 0, "pointwise_relu": False}, 4),
        ({"class_pointwise": 0}, 10),
        ({"head": "fc"}, 11),
        ({"head": "gap_linear", "final_relu": False}, 9),
    ],
)
def test_where_nin_has_its_relus(arguments, relus):
    assert count_layers_of(sketch("nin", ImageSpec(1, 224, 10), **arguments), nn.ReLU) == relus


def test_the_last_relu_is_the_class_maps_own():
    network = sketch("nin", ImageSpec(1, 224, 10), pointwise_relu=False)
    assert [type(layer) for layer in network.class_block] == [
        nn.Conv2d,
        nn.ReLU,
        nn.Conv2d,
        nn.Conv2d,
        nn.ReLU,
    ]
    without = sketch("nin", ImageSpec(1, 224, 10), final_relu=False)
    assert type(list(without.class_block)[-1]) is nn.Conv2d


def test_a_staged_class_block_narrows_in_equal_ratios():
    def widths(**arguments):
        block = sketch("nin", ImageSpec(1, 224, 10), class_staged=True, **arguments).class_block
        return [layer.out_channels for layer in block if isinstance(layer, nn.Conv2d)]

    assert widths() == [114, 34, 10]
    assert widths(class_pointwise=1) == [62, 10]
    assert widths(class_pointwise=0) == [10]


@pytest.mark.parametrize("plan", ["11", "16", "19"])
def test_a_nin_on_vggs_plan_has_its_convolutions_and_no_dense_layer(plan):
    """Without 1×1 layers it is VGG's features, and a convolution to the classes."""
    image = ImageSpec(3, 224, 1000)
    ours, vgg = sketch(f"nin{plan}", image, pointwise=0), sketch(f"vgg{plan}", image)
    shapes = [layer.weight.shape for layer in ours.modules() if isinstance(layer, nn.Conv2d)]
    assert shapes[:-1] == [layer.weight.shape for layer in vgg.modules() if isinstance(layer, nn.Conv2d)]
    assert shapes[-1] == (1000, 512, 3, 3)
    assert count_layers_of(ours, nn.Linear) == 0
    assert count_layers_of(ours, nn.MaxPool2d) == 5
    with_pointwise = sketch(f"nin{plan}", image, pointwise=2, class_pointwise=0)
    assert count_layers_of(with_pointwise, nn.Conv2d) == 3 * (len(shapes) - 1) + 1


def test_a_3x3_in_place_of_the_1x1_keeps_every_size():
    network = sketch("nin", ImageSpec(1, 224, 10), pointwise_kernel=3)
    assert network.block1(torch.empty(1, 1, 224, 224, device="meta")).shape == (1, 96, 54, 54)
    assert network.block1.pointwise2.kernel_size == (3, 3)


@pytest.mark.parametrize(
    ("name", "head", "rows"),
    [
        ("nin", "gap", ["dropout", "class_block", "average", "flatten"]),
        ("nin", "gap_linear", ["dropout", "average", "flatten", "output"]),
        ("nin", "fc_linear", ["dropout", "flatten", "output"]),
        ("nin", "fc_maps", ["dropout", "class_block", "flatten", "output"]),
        (
            "nin",
            "fc",
            ["flatten", "dense1", "dense1_relu", "dropout1", "dense2", "dense2_relu", "dropout2", "output"],
        ),
        ("nin_cifar", "gap", ["dropout2", "class_block", "average", "flatten"]),
        ("nin_cifar", "fc_linear", ["dropout2", "flatten", "output"]),
    ],
)
def test_the_rows_of_a_head(name, head, rows):
    network = sketch(name, ImageSpec(1, 224, 10), head=head)
    names = [row for row, _ in network.named_children()]
    last_pool = max(index for index, row in enumerate(names) if row.startswith("pool"))
    assert names[last_pool + 1 :] == rows


@pytest.mark.parametrize("name", NIN_MODELS)
def test_dropout_is_what_was_asked_for(name):
    network = sketch(name, ImageSpec(1, 224, 10), dropout=0.25)
    shares = [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)]
    assert shares == ([0.25] if name == "nin" else [0.25, 0.25])


@pytest.mark.parametrize(
    ("pointwise", "blocks"),
    [
        (0, [[96], [192], [10]]),
        (1, [[192, 96], [192, 192], [192, 10]]),
        (2, [[192, 160, 96], [192, 192, 192], [192, 192, 10]]),
        (3, [[192, 160, 96, 96], [192, 192, 192, 192], [192, 192, 10, 10]]),
    ],
)
def test_the_papers_blocks_keep_their_width(pointwise, blocks):
    network = sketch("nin_cifar", ImageSpec(3, 32, 10), pointwise=pointwise)
    assert [
        [layer.out_channels for layer in block if isinstance(layer, nn.Conv2d)]
        for block in network
        if isinstance(block, NiNBlock)
    ] == blocks


def test_lenet_takes_the_pools_that_go_with_its_activation():
    sigmoid, relu = (sketch("lenet", ImageSpec(1, 28, 10), activation=kind) for kind in ("sigmoid", "relu"))
    assert count_layers_of(sigmoid, nn.AvgPool2d) == count_layers_of(sigmoid, nn.Sigmoid) - 2 == 2
    assert count_layers_of(relu, nn.MaxPool2d) == count_layers_of(relu, nn.ReLU) - 2 == 2


@pytest.mark.parametrize(
    ("name", "arguments", "theirs"),
    [
        ("alexnet", {"layout": "torchvision"}, "alexnet"),
        *[
            (name, {"batch_norm": batch_norm}, f"{name}_bn" if batch_norm else name)
            for name in ("vgg11", "vgg13", "vgg16", "vgg19")
            for batch_norm in (False, True)
        ],
    ],
)
def test_torchvisions_networks_layer_by_layer(name, arguments, theirs):
    from torchvision import models

    with torch.device("meta"):
        published = models.get_model(theirs, init_weights=False) if theirs != "alexnet" else models.alexnet()
    ours = sketch(name, ImageSpec(3, 224, 1000), **arguments)
    # Theirs pools adaptively to what the maps are at 224 anyway, and flattens inside forward.
    assert leaves(ours, nn.Flatten) == leaves(published, nn.AdaptiveAvgPool2d)
    assert [weight.shape for weight in ours.parameters()] == [weight.shape for weight in published.parameters()]
