from itertools import accumulate

import pytest
import torch
from torch.distributed._tools.mem_tracker import MemTracker

from nin_bench.cell import Recipe
from nin_bench.cost import count_memory
from nin_bench.data.batches import ImageBatches
from nin_bench.errors import SpecError
from nin_bench.models import ImageSpec, build_model, list_models
from nin_bench.training.evaluation import Images
from nin_bench.training.trainer import Trainer

NOTEBOOKS = ImageSpec(channels=1, resolution=224, num_classes=10)
MNIST = ImageSpec(channels=1, resolution=28, num_classes=10)
GB = 10**9

# Every family, small enough to be trained here for real.
FAMILIES = [
    ("alexnet", 67, {"width": 0.1, "hidden": 32}),
    ("alexnet", 67, {"width": 0.1, "hidden": 32, "layout": "torchvision", "batch_norm": True}),
    ("lenet", 28, {}),
    ("lenet", 28, {"activation": "relu", "batch_norm": True}),
    ("mlp", 28, {"hidden": 64}),
    ("nin", 99, {"width": 0.25}),
    ("nin", 99, {"width": 0.25, "head": "fc", "hidden": 32, "pointwise_relu": False}),
    ("nin_cifar", 32, {"width": 0.25}),
    ("nin_mnist", 28, {"width": 0.5, "head": "fc_maps"}),
    ("vgg11", 64, {"width": 0.25, "hidden": 32}),
    ("vgg11", 64, {"width": 0.25, "hidden": 32, "batch_norm": True}),
    *[(name, 32, {"width": 0.1, "hidden": 32}) for name in ("vgg13", "vgg16", "vgg19")],
    *[(name, 32, {"width": 0.1, "class_pointwise": 0}) for name in ("nin11", "nin16", "nin19")],
]


def real_trainer(name, image, recipe, arguments, *, num_images, device="cpu"):
    torch.manual_seed(0)
    model = build_model(name, image, **arguments).to(device).to(memory_format=torch.channels_last).train()
    images = torch.randint(256, (num_images, image.channels, image.resolution, image.resolution)).byte()
    labels = torch.arange(num_images) % image.num_classes
    batches = ImageBatches(images, labels, image.resolution, device=device)
    train = Images(batches, torch.arange(num_images, device=device))
    return Trainer(model, recipe, train, seed=0, chance_loss=2.3)


def stepped_trainer(name, image, recipe, arguments, *, device="cpu"):
    """One whose optimizer has its state, and that holds no gradients."""
    trainer = real_trainer(name, image, recipe, arguments, num_images=recipe.batch_size, device=device)
    trainer.step(trainer.train.indices)
    trainer.optimizer.zero_grad(set_to_none=True)
    return trainer


def kept_bytes(trainer):
    """Bytes that one step keeps for backward, beside weights and images: (copies of weights, all else)."""
    storages, copies = {}, set()
    weights = trainer.model.state_dict().values()
    shapes = {shape for weight in weights if weight.dim() > 1 for shape in (weight.shape, weight.mT.shape)}
    left_out = {weight.untyped_storage().data_ptr() for weight in weights}

    def leave_out(_, images):
        left_out.add(images[0].untyped_storage().data_ptr())

    def keep(tensor):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage  # held, so that no address is used twice
        if tensor.shape in shapes:
            copies.add(storage.data_ptr())
        return tensor

    hook = trainer.model.register_forward_pre_hook(leave_out)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        trainer.step(trainer.train.indices)
    hook.remove()
    kept = {address: storage.nbytes() for address, storage in storages.items() if address not in left_out}
    num_copied = sum(num_bytes for address, num_bytes in kept.items() if address in copies)
    return num_copied, sum(kept.values()) - num_copied


def allocated_peak(run):
    """The most that the allocator held at once during `run`, beside what it held before, in bytes."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True, acc_events=True) as profile:
        run()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in events))


def tracked_peak(trainer, run):
    """The most that PyTorch's tracker sees alive at once, in bytes: tensors alone, without what kernels borrow."""
    tracker = MemTracker()
    tracker.track_external(trainer.model, trainer.optimizer)
    with tracker:
        run()
    return tracker.get_tracker_snapshot("peak")[trainer.device]["Total"]


def test_lenets_activations_by_hand():
    memory = count_memory("lenet", MNIST, Recipe())
    # sigmoids' outputs, pools' outputs (the inputs of what follows), dense sigmoids, log-softmax; and a label
    values = 6 * 28 * 28 + 6 * 14 * 14 + 16 * 10 * 10 + 16 * 5 * 5 + 120 + 84 + 10
    assert values == 8_094
    assert memory.activations.per_image == 4 * 8_094 + 8 == 32_384
    assert memory.activations.fixed == 4  # the loss's sum of class weights
    assert memory.input_per_image == 4 * 28 * 28
    assert (memory.weights, memory.gradients, memory.optimizer) == (4 * 61_706, 4 * 61_706, 0)
    # the step's sum at a batch of 256
    assert memory.train_sum(256) == 2 * 246_824 + 256 * (32_384 + 3_136) + 4 == 9_586_772


def test_nins_activations_by_hand():
    fp32 = count_memory("nin", NOTEBOOKS, Recipe())
    # in-place ReLUs share their convolution's output, so each block keeps three maps, and none is kept twice
    blocks = 3 * (96 * 54 * 54 + 256 * 26 * 26 + 384 * 12 * 12 + 10 * 5 * 5)
    pools = 96 * 26 * 26 + 256 * 12 * 12 + 384 * 5 * 5
    kept = blocks + pools + 384 * 5 * 5  # dropout's mask; the last pool's output lives on only as dropout's
    assert (blocks, pools, kept) == (1_525_614, 111_360, 1_646_574)
    indices = 8 * pools  # int64
    assert fp32.activations.per_image == 4 * (kept + 10) + indices + 8 == 7_477_224
    assert fp32.low_precision_copies == 0

    bf16 = count_memory("nin", NOTEBOOKS, Recipe(precision="bf16"))
    # maps and the image's copy in two bytes; the ten log-probabilities stay in float32
    assert bf16.activations.per_image == 2 * (kept + 224 * 224) + 4 * 10 + indices + 8 == 4_284_428
    # biases are cast too, but not kept
    assert bf16.low_precision_copies == 2 * (1_992_166 - 3 * (96 + 256 + 384 + 10)) == 3_979_856
    assert bf16.weights == fp32.weights == 4 * 1_992_166
    assert bf16.input_per_image == fp32.input_per_image == 4 * 224 * 224


@pytest.mark.parametrize(
    ("recipe", "num_bytes"),
    [
        ({}, 0),
        ({"momentum": 0.9}, 4 * 61_706),
        ({"momentum": 0.9, "nesterov": True}, 4 * 61_706),
        # two moments, and for each of the ten tensors its number of steps
        ({"optimizer": "adam"}, 8 * 61_706 + 4 * 10),
        ({"optimizer": "adamw", "weight_decay": 0.1}, 8 * 61_706 + 4 * 10),
    ],
    ids=str,
)
def test_the_optimizers_state(recipe, num_bytes):
    assert count_memory("lenet", MNIST, Recipe(**recipe)).optimizer == num_bytes


def test_batch_normalisation_keeps_its_inputs_and_statistics():
    plain, normalised = (count_memory("vgg11", NOTEBOOKS, Recipe(), batch_norm=norm) for norm in (False, True))
    convolutions = 64 * 224**2 + 128 * 112**2 + 2 * 256 * 56**2 + 2 * 512 * 28**2 + 2 * 512 * 14**2
    assert normalised.activations.per_image - plain.activations.per_image == 4 * convolutions == 29_704_192
    # mean and deviation of each of 2,752 maps, whatever the batch
    assert normalised.activations.fixed - plain.activations.fixed == 4 * 2 * 2_752
    # scale and shift, running mean and variance, and for each of eight layers its number of batches
    assert normalised.weights - plain.weights == 4 * 4 * 2_752 + 8 * 8
    assert normalised.gradients - plain.gradients == 4 * 2 * 2_752


def test_vgg11_at_a_batch_of_125():
    """The notebooks ask why it takes 4 of 6 GB; width and precision are not told."""
    full = count_memory("vgg11", NOTEBOOKS, Recipe())
    convolutions = 7_426_048  # as above
    pools = 64 * 112**2 + 128 * 56**2 + 256 * 28**2 + 512 * 14**2 + 512 * 7**2
    dense = 2 * 3 * 4_096  # ReLU's output, dropout's mask and output
    assert pools == 1_530_368
    assert full.activations.per_image == 4 * (convolutions + pools + dense + 10) + 8 * pools + 8 == 48_166_960
    weights, image = 4 * 128_806_154, 4 * 224 * 224
    assert full.train_sum(125) == 2 * weights + 125 * (48_166_960 + image) + 4 == 7_076_407_236
    assert full.train_peak(125) > 6 * GB
    assert full.largest_batch(6 * GB) == 101

    quarter = count_memory("vgg11", NOTEBOOKS, Recipe(), width=0.25)
    activations = 4 * ((convolutions + pools) // 4 + dense + 10) + 8 * pools // 4 + 8
    assert quarter.activations.per_image == activations == 12_115_504
    assert quarter.train_sum(125) == 8 * 43_093_322 + 125 * (activations + image) + 4 == 1_884_272_580


def test_prediction_holds_the_largest_layers_input_and_output():
    memory = count_memory("nin", NOTEBOOKS, Recipe())
    maps, image, label_and_index = 4 * 96 * 54 * 54, 4 * 224 * 224, 8 + 8
    assert memory.predict_per_image == 2 * maps + image + label_and_index == 2_440_208
    assert memory.predict_peak(128) == 4 * 1_992_166 + 128 * 2_440_208


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("name", "resolution", "arguments"), FAMILIES, ids=str)
def test_a_real_step_keeps_what_was_counted(name, resolution, arguments, precision):
    image, recipe = ImageSpec(3, resolution, 7), Recipe(precision=precision, batch_size=5)
    memory = count_memory(name, image, recipe, **arguments)
    trainer = real_trainer(name, image, recipe, arguments, num_images=5)
    assert kept_bytes(trainer) == (memory.low_precision_copies, memory.activations.at(5))


def test_every_family_is_trained_above():
    assert {name for name, _, _ in FAMILIES} == set(list_models())


@pytest.mark.parametrize("recipe", [{}, {"precision": "bf16", "optimizer": "adam"}], ids=str)
@pytest.mark.parametrize(("name", "resolution", "arguments"), FAMILIES, ids=str)
def test_pytorchs_own_tracker_sees_the_same_peaks(name, resolution, arguments, recipe):
    image, recipe = ImageSpec(1, resolution, 7), Recipe(batch_size=16, **recipe)
    memory = count_memory(name, image, recipe, **arguments)
    trainer = stepped_trainer(name, image, recipe, arguments)
    assert tracked_peak(trainer, lambda: trainer.step(trainer.train.indices)) == memory.train_peak(16)
    fresh = real_trainer(name, image, recipe, arguments, num_images=16)
    assert tracked_peak(fresh, lambda: fresh.evaluate(fresh.train)) == memory.predict_peak(16)


@pytest.mark.parametrize("recipe", [{}, {"precision": "bf16", "micro_batch": 16, "optimizer": "adam"}], ids=str)
@pytest.mark.parametrize(("name", "resolution", "arguments"), FAMILIES, ids=str)
def test_the_allocator_holds_at_least_what_was_counted(name, resolution, arguments, recipe):
    if arguments.get("batch_norm"):
        recipe = recipe | {"micro_batch": None}
    image, recipe = ImageSpec(1, resolution, 7), Recipe(batch_size=48, **recipe)
    memory = count_memory(name, image, recipe, **arguments)
    trainer = stepped_trainer(name, image, recipe, arguments)
    num_before = memory.weights + memory.optimizer + trainer.train.indices.nbytes
    peak = num_before + allocated_peak(lambda: trainer.step(trainer.train.indices))
    assert peak >= memory.train_peak(48)  # and more where a kernel borrows some while it runs


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_linear_in_the_batch_without_micro_batches(precision):
    memory = count_memory("nin", NOTEBOOKS, Recipe(precision=precision))
    for figure in (memory.train_sum, memory.train_peak, memory.predict_peak):
        assert figure(192) - figure(128) == figure(128) - figure(64) > 0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_constant_in_the_batch_with_micro_batches(precision):
    whole = count_memory("nin", NOTEBOOKS, Recipe(precision=precision))
    parts = count_memory("nin", NOTEBOOKS, Recipe(precision=precision, micro_batch=16))
    assert parts.train_sum(128) == parts.train_sum(12_800) == whole.train_sum(16)
    assert parts.train_peak(128) == parts.train_peak(12_800)
    # those after the first meet gradients that it left
    assert whole.train_peak(16) < parts.train_peak(128) < whole.train_peak(16) + 2 * whole.gradients
    assert parts.activations == whole.activations
    assert parts.predict_peak(128) == whole.predict_peak(128)


@pytest.mark.parametrize("budget", [2 * GB, 6 * GB, 24 * GB])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_largest_batch_is_the_last_that_fits(budget, precision):
    memory = count_memory("vgg11", NOTEBOOKS, Recipe(precision=precision, optimizer="adam"), width=0.5)
    batch = memory.largest_batch(budget)
    assert memory.train_peak(batch) <= budget < memory.train_peak(batch + 1)


def test_no_batch_fits_where_the_weights_do_not():
    assert count_memory("vgg11", NOTEBOOKS, Recipe()).largest_batch(515_224_616) == 0
    assert count_memory("lenet", MNIST, Recipe()).largest_batch(0) == 0


def test_with_micro_batches_every_batch_fits_or_none_larger():
    memory = count_memory("nin", NOTEBOOKS, Recipe(micro_batch=16))
    peak = memory.train_peak(128)
    assert memory.largest_batch(peak) is None
    assert memory.largest_batch(peak - 1) == 15


def test_the_terms_of_the_formula_by_name():
    memory = count_memory("lenet", MNIST, Recipe(batch_size=256))
    assert memory.terms() == {
        "weights": 246_824,
        "low_precision_copies": 0,
        "gradients": 246_824,
        "optimizer": 0,
        "activations_per_image": 32_384,
        "activations_fixed": 4,
        "input_per_image": 3_136,
        "predict_per_image": 40_784,
    }
    assert memory.train_sum(256) == 9_586_772


def test_a_running_mean_takes_as_much_as_the_weights_all_the_time():
    plain, averaged = (count_memory("lenet", MNIST, Recipe(ema=ema), batch_norm=True) for ema in (0.0, 0.9))
    assert averaged.optimizer == plain.optimizer + plain.weights
    assert averaged.train_peak(64) == plain.train_peak(64) + plain.weights
    assert averaged.predict_peak(64) == plain.predict_peak(64) + plain.weights


def test_what_changes_images_and_gradients_is_counted_too():
    richer = Recipe(rand_augment=2, random_erasing=0.5, mixup=0.2, cutmix=1.0, clip_norm=1.0, precision="fp16")
    formula, plain = (count_memory("lenet", MNIST, recipe) for recipe in (richer, Recipe(precision="bf16")))
    assert formula.weights == plain.weights
    assert plain.train_peak(64) <= formula.train_peak(64) < 2 * plain.train_peak(64)


def test_counting_draws_no_random_number():
    before = torch.get_rng_state()
    count_memory("nin_mnist", MNIST, Recipe(augmentation="crop_flip", init="xavier_uniform"))
    assert torch.equal(torch.get_rng_state(), before)


def test_micro_batches_with_batch_normalisation_are_refused():
    with pytest.raises(SpecError, match="does not go with batch normalisation"):
        count_memory("vgg11", NOTEBOOKS, Recipe(micro_batch=16), batch_norm=True)


def test_what_cannot_be_built_is_refused():
    with pytest.raises(SpecError, match="use 67 or more"):
        count_memory("nin", ImageSpec(1, 66, 10), Recipe())


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_accelerators_allocator_holds_at_least_what_was_counted(precision):
    device = torch.accelerator.current_accelerator()
    recipe = Recipe(precision=precision, batch_size=64)
    memory = count_memory("nin", NOTEBOOKS, recipe, device=device)
    trainer = stepped_trainer("nin", NOTEBOOKS, recipe, {}, device=device)
    torch.accelerator.synchronize()
    held_before = torch.accelerator.memory_allocated() - memory.weights - memory.optimizer
    torch.accelerator.reset_peak_memory_stats()
    trainer.step(trainer.train.indices)
    torch.accelerator.synchronize()
    peak = torch.accelerator.max_memory_allocated() - held_before
    assert peak >= memory.train_peak(64)
