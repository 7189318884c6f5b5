"""Variants by what tells them apart: a label repeats every argument that the grid writes, a name does not.

A label is `nin pointwise=2 head=gap width=0.25`: a model, and its arguments as words. One that is written
otherwise is its own name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Label:
    """A label, taken apart."""

    model: str
    arguments: Mapping[str, str]

    @classmethod
    def read(cls, label: str) -> "Label | None":
        """Take a label apart; None where it is not a model and its arguments."""
        model, *words = label.split(" ")
        pairs = [word.partition("=") for word in words]
        if not model or "=" in model or any(not (key and equals) for key, equals, _ in pairs):
            return None
        arguments = {key: value for key, _, value in pairs}
        return cls(model, arguments) if len(arguments) == len(pairs) else None

    def name(self, dropped: frozenset[str] = frozenset()) -> str:
        """The label without some of its arguments."""
        kept = (f"{key}={value}" for key, value in self.arguments.items() if key not in dropped)
        return " ".join([self.model, *kept])


@dataclass(frozen=True)
class Names:
    """What a page calls its variants."""

    by_label: Mapping[str, str]
    """In the grid's order."""
    not_repeated: Mapping[str, list[str]]
    """By model, the arguments that its variants' names leave out, as words; models that lose none are left out."""

    def __getitem__(self, label: str) -> str:
        """A variant's name; its label, where that is none of the grid's."""
        return self.by_label.get(label, label)

    def contrast(self, a: str, b: str) -> tuple[str, str]:
        """Two variants by what tells this one from that one alone; labels in, words out.

        >>> Names.of(["nin pointwise=2 head=gap", "nin pointwise=1 head=gap"]).contrast(
        ...     "nin pointwise=2 head=gap", "nin pointwise=1 head=gap"
        ... )
        ('pointwise=2', 'pointwise=1')
        """
        names = self[a], self[b]
        first, second = (Label.read(name) for name in names)
        if first is None or second is None or first.model != second.model:
            return names
        words_a, words_b = (
            " ".join(
                f"{key}={value}" for key, value in mine.arguments.items() if other.arguments.get(key) != value
            )
            for mine, other in ((first, second), (second, first))
        )
        return (words_a, words_b) if words_a and words_b else names

    @classmethod
    def of(cls, labels: Sequence[str]) -> "Names":
        """Name the variants of a grid: an argument that never differs between a model's variants is left out."""
        read = {label: Label.read(label) for label in labels}
        models: dict[str, list[Label]] = {}
        for taken_apart in read.values():
            if taken_apart is not None:
                models.setdefault(taken_apart.model, []).append(taken_apart)
        dropped = {model: _needless(variants) for model, variants in models.items()}
        by_label = {
            label: label if taken_apart is None else taken_apart.name(dropped[taken_apart.model])
            for label, taken_apart in read.items()
        }
        if len(set(by_label.values())) < len(by_label):  # a label that is no label may look like a name
            return cls({label: label for label in labels}, {})
        not_repeated = {
            model: list(
                dict.fromkeys(
                    f"{key}={value}"
                    for variant in variants
                    for key, value in variant.arguments.items()
                    if key in dropped[model]
                )
            )
            for model, variants in models.items()
            if dropped[model]
        }
        return cls(by_label, not_repeated)


def _needless(variants: Sequence[Label]) -> frozenset[str]:
    """The arguments without which a model's variants can still be told apart."""
    keys = dict.fromkeys(key for variant in variants for key in variant.arguments)
    found: frozenset[str] = frozenset()
    for key in keys:
        values = {variant.arguments[key] for variant in variants if key in variant.arguments}
        without = found | {key}
        if len(values) == 1 and len({variant.name(without) for variant in variants}) == len(variants):
            found = without
    return found
