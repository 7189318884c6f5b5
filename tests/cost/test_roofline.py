import pytest

from nin_bench.cost import LayerCost, LayerWork, Roofline, count_cost, count_work
from nin_bench.errors import SpecError
from nin_bench.models import ImageSpec, list_models

NOTEBOOKS = ImageSpec(channels=1, resolution=224, num_classes=10)
MACHINE = Roofline(flops_per_second=200e9, bytes_per_second=25e9)


def work(flops, num_bytes):
    return LayerWork(LayerCost("conv", "Conv2d", (1, 1, 1, 1), 0, flops // 2), "convolution", flops, num_bytes)


def test_the_ceilings_meet_at_the_ridge():
    assert MACHINE.ridge_flops_per_byte == 8
    assert MACHINE.attainable_flops_per_second(2) == 50e9
    assert MACHINE.attainable_flops_per_second(8) == 200e9
    assert MACHINE.attainable_flops_per_second(100) == 200e9


@pytest.mark.parametrize(
    ("flops", "num_bytes", "bound", "seconds", "taken", "share"),
    [
        (4_000_000, 100_000, "arithmetic", 20e-6, 50e-6, 0.4),  # 40 FLOPs a byte; 4 MFLOP at 200 GFLOP/s
        (200_000, 100_000, "memory", 4e-6, 5e-6, 0.8),  # 2 FLOPs a byte; 100 kB at 25 GB/s
        (800_000, 100_000, "arithmetic", 4e-6, 4e-6, 1.0),  # on the ridge
        (0, 100_000, "memory", 4e-6, 16e-6, 0.25),  # a pool: it moves, and multiplies nothing
    ],
)
def test_a_layers_place_under_the_roof(flops, num_bytes, bound, seconds, taken, share):
    layer = work(flops, num_bytes)
    assert MACHINE.bound(layer) == bound
    assert MACHINE.seconds(layer) == pytest.approx(seconds)
    assert MACHINE.share(layer, taken) == pytest.approx(share)
    if flops:
        attained = flops / taken
        assert attained / MACHINE.attainable_flops_per_second(layer.flops_per_byte) == pytest.approx(share)


def test_the_first_layers_of_nin_in_both_precisions():
    fp32 = count_work("nin", NOTEBOOKS, precision="fp32", batch_size=128)
    assert [layer.layer.name for layer in fp32[:4]] == [
        "block1.conv",
        "block1.conv_relu",
        "block1.pointwise1",
        "block1.pointwise1_relu",
    ]
    conv, relu, pointwise, *_ = fp32
    maps = 96 * 54 * 54  # 279,936
    assert (conv.kind, conv.flops) == ("convolution", 2 * 33_872_256)
    assert conv.num_bytes == 4 * (224 * 224 + maps + 11_712 / 128) == 1_320_814
    assert conv.flops_per_byte == pytest.approx(51.29, abs=0.005)
    assert (relu.kind, relu.flops, relu.num_bytes, relu.flops_per_byte) == ("other", 0, 4 * 2 * maps, 0)
    assert (pointwise.kind, pointwise.flops) == ("pointwise", 2 * 26_873_856)
    assert pointwise.num_bytes == 4 * (2 * maps + 9_312 / 128) == 2_239_779
    assert pointwise.flops_per_byte == pytest.approx(24.0, abs=0.005)
    bf16 = count_work("nin", NOTEBOOKS, precision="bf16", batch_size=128)
    assert [layer.num_bytes for layer in bf16] == [layer.num_bytes / 2 for layer in fp32]


def test_a_large_batch_shares_a_dense_layers_weights():
    def dense1(batch_size):
        layers = count_work("alexnet", NOTEBOOKS, precision="fp32", batch_size=batch_size)
        return next(layer for layer in layers if layer.layer.name == "dense1")

    # 6,400 inputs, 4,096 outputs, 26,214,400 weights and 4,096 biases
    assert dense1(1).num_bytes == 4 * (6_400 + 4_096 + 26_218_496)
    assert dense1(1).flops_per_byte == pytest.approx(0.5, abs=0.0005)
    assert dense1(128).num_bytes == 4 * (6_400 + 4_096 + 204_832)
    assert dense1(128).flops_per_byte == pytest.approx(60.87, abs=0.005)


@pytest.mark.parametrize("name", list_models())
def test_the_layers_do_the_networks_work(name):
    layers = count_work(name, NOTEBOOKS, precision="fp32", batch_size=1)
    assert sum(layer.flops for layer in layers) == 2 * count_cost(name, NOTEBOOKS).num_macs.total
    assert all(layer.num_bytes > 0 for layer in layers)


def test_what_cannot_be_built_is_refused():
    with pytest.raises(SpecError, match="use 67 or more"):
        count_work("nin", ImageSpec(1, 66, 10), precision="fp32", batch_size=1)
