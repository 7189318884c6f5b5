"""What the classes of the named datasets are called. Data rooms know it too, but wait for torch."""

from collections.abc import Mapping

NAMES: Mapping[str, tuple[str, ...]] = {
    "fashion_mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    "kmnist": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    "cifar10": (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ),
}  # fmt: skip


def class_names(dataset: str | None, num_classes: int) -> list[str]:
    """The names; numbers, where the dataset's are not known here or are numbers themselves."""
    known = NAMES.get(dataset or "", ())
    return list(known) if len(known) == num_classes else [str(number) for number in range(num_classes)]
