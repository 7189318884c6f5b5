import pytest

from nin_bench.cost import LayerCount, count_model
from nin_bench.cost.roofline import Roofline, bytes_moved
from nin_bench.models import ImageSpec, list_models

NOTEBOOKS = ImageSpec(channels=1, resolution=224, num_classes=10)
MACHINE = Roofline(flops_per_second=200e9, bytes_per_second=25e9)


@pytest.mark.parametrize(
    ("flops", "num_bytes", "bound", "taken", "share"),
    [
        (4_000_000, 100_000, "arithmetic", 50e-6, 0.4),  # 40 FLOPs a byte; 4 MFLOP take 20 µs at 200 GFLOP/s
        (200_000, 100_000, "memory", 5e-6, 0.8),  # 2 FLOPs a byte; 100 kB take 4 µs at 25 GB/s
        (800_000, 100_000, "arithmetic", 4e-6, 1.0),  # 8 FLOPs a byte, where both take 4 µs
        (0, 100_000, "memory", 16e-6, 0.25),  # a pool: it moves, and multiplies nothing
    ],
)
def test_a_layers_place_under_the_roof(flops, num_bytes, bound, taken, share):
    assert MACHINE.bound(flops, num_bytes) == bound
    assert MACHINE.share(flops, num_bytes, taken) == pytest.approx(share)


def test_the_first_layers_of_nin_in_both_precisions():
    conv, relu, pointwise, *_ = layers = count_model("nin", NOTEBOOKS).layers
    assert [layer.name for layer in layers[:3]] == ["block1.conv", "block1.conv_relu", "block1.pointwise1"]
    assert [layer.kind for layer in layers[:3]] == ["convolution", "other", "pointwise"]
    maps = 96 * 54 * 54  # 279,936
    assert bytes_moved(conv, "fp32", 128) == 4 * (224 * 224 + maps + 11_712 / 128) == 1_320_814
    assert bytes_moved(relu, "fp32", 128) == 4 * 2 * maps
    assert bytes_moved(pointwise, "fp32", 128) == 4 * (2 * maps + 9_312 / 128) == 2_239_779
    assert [bytes_moved(layer, "bf16", 128) for layer in layers] == [
        bytes_moved(layer, "fp32", 128) / 2 for layer in layers
    ]


def dense1() -> LayerCount:
    return next(layer for layer in count_model("alexnet", NOTEBOOKS).layers if layer.name == "dense1")


def test_a_large_batch_shares_a_dense_layers_weights():
    # 6,400 inputs, 4,096 outputs, 26,214,400 weights and 4,096 biases
    assert bytes_moved(dense1(), "fp32", 1) == 4 * (6_400 + 4_096 + 26_218_496)
    assert bytes_moved(dense1(), "fp32", 128) == 4 * (6_400 + 4_096 + 204_832)


@pytest.mark.parametrize("name", list_models())
def test_every_layer_moves_something(name):
    assert all(bytes_moved(layer, "fp32", 1) > 0 for layer in count_model(name, NOTEBOOKS).layers)
