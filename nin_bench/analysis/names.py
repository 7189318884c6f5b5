"""What a page calls its variants: a model, and the fields that tell this one from its others. No label is read.

A label repeats every argument that the grid writes. A name leaves out those that all variants of a model share,
and those that follow from others, such as a learning rate chosen for each. A variant whose label the grid gives
itself is called by that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nin_bench.results.schema import ResolvedVariant


@dataclass(frozen=True)
class Names:
    """What a page calls its variants."""

    by_label: Mapping[str, str]
    """In the grid's order."""
    models: Mapping[str, str]
    """The model of each variant, by label."""
    fields: Mapping[str, Mapping[str, str]]
    """Values of the fields that differ between the variants of one model, as words; by label and field."""
    axes: Mapping[str, list[str]]
    """The axes of each model: those of these fields that no others determine."""
    not_repeated: Mapping[str, list[str]]
    """The arguments that all variants of a model share, as words, by model."""

    def __getitem__(self, label: str) -> str:
        """A variant's name; the label itself, if no variant has it."""
        return self.by_label.get(label, label)

    def contrast(self, a: str, b: str, over: str | None = None) -> tuple[str, str]:
        """Two variants by the fields in which they differ; by their names, if these say more.

        Names say more of two models, and where the grid labels both variants itself. Where the two stand for all
        values of an axis, as in a mean `over` it, they are called by their models and the fields of other axes.

        >>> both = {"data": {"name": "digits"}, "recipe": {}}
        >>> variants = [
        ...     {"variant_id": f"v{n}", "label": f"nin {n}", "model": {"name": "nin", "pointwise": n}, **both}
        ...     for n in (1, 2)
        ... ]
        >>> Names.of([ResolvedVariant.model_validate(one) for one in variants]).contrast("nin 2", "nin 1")
        ('pointwise=2', 'pointwise=1')
        """
        if over is not None and (name_a := self._without(a, over)) != (name_b := self._without(b, over)):
            return name_a, name_b
        axes = self.axes.get(self.models.get(a, ""), [])
        differing = [name for name in self._differing(a, b) if name in axes]
        if self.models.get(a) != self.models.get(b) or not differing or self.are_labelled(a, b):
            return self[a], self[b]
        words_a, words_b = (" ".join(f"{name}={self.fields[side][name]}" for name in differing) for side in (a, b))
        return words_a, words_b

    def also_differing(self, a: str, b: str) -> list[str]:
        """Fields that differ between two variants of one model, and that `contrast` does not name."""
        same_model = self.models.get(a) == self.models.get(b)
        named = [] if self.are_labelled(a, b) else self.axes.get(self.models.get(a, ""), [])
        return [name for name in self._differing(a, b) if name not in named] if same_model else []

    def are_labelled(self, a: str, b: str) -> bool:
        """Whether two variants go by labels of the grid's own, which need not say in which fields they differ."""
        return self._goes_by_label(a) and self._goes_by_label(b)

    def _without(self, label: str, axis: str) -> str:
        """A variant's name among those of its model that have the same value of an axis."""
        field, fields = axis.rpartition(".")[2], self.fields.get(label, {})
        alike = [
            other
            for one, other in self.fields.items()
            if self.models[one] == self.models.get(label) and other.get(field) == fields.get(field)
        ]
        return _name(self.models.get(label, label), _axes(alike), fields)

    def _goes_by_label(self, label: str) -> bool:
        model, fields = self.models.get(label, ""), self.fields.get(label, {})
        return self[label] == label != _name(model, self.axes.get(model, []), fields)

    def _differing(self, a: str, b: str) -> list[str]:
        first, second = self.fields.get(a, {}), self.fields.get(b, {})
        return [name for name in first if first[name] != second.get(name)]

    @classmethod
    def of(cls, variants: Sequence[ResolvedVariant]) -> "Names":
        """Name the variants of a grid."""
        by_model: dict[str, list[ResolvedVariant]] = {}
        for variant in variants:
            by_model.setdefault(variant.model.name, []).append(variant)
        fields: dict[str, dict[str, str]] = {}
        axes: dict[str, list[str]] = {}
        not_repeated: dict[str, list[str]] = {}
        for model, own in by_model.items():
            arguments = [{name: _word(value) for name, value in one.model.arguments.items()} for one in own]
            settings = [
                {name: _word(value) for part in (one.data, one.recipe) for name, value in part} for one in own
            ]
            axes[model] = _axes([arguments[i] | settings[i] for i in range(len(own))])
            named = dict.fromkeys([*_axes(arguments), *axes[model], *_differing(settings)])
            for variant, values in zip(own, map(dict.__or__, arguments, settings), strict=True):
                fields[variant.label] = {name: values.get(name, "none") for name in named}
            if shared := [f"{name}={arguments[0][name]}" for name in _shared(arguments)]:
                not_repeated[model] = shared
        by_label = {
            one.label: one.label
            if one.own_label
            else _name(one.model.name, axes[one.model.name], fields[one.label])
            for one in variants
        }
        if len(set(by_label.values())) < len(by_label):
            by_label = {label: label for label in by_label}
        models = {one.label: one.model.name for one in variants}
        return cls(by_label, models, {label: fields[label] for label in by_label}, axes, not_repeated)


def _name(model: str, axes: Sequence[str], fields: Mapping[str, str]) -> str:
    return " ".join([model, *(f"{name}={fields.get(name)}" for name in axes)])


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(_word, value))
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def _differing(variants: Sequence[Mapping[str, str]]) -> list[str]:
    names = dict.fromkeys(name for one in variants for name in one)
    return [name for name in names if len({one.get(name) for one in variants}) > 1]


def _shared(variants: Sequence[Mapping[str, str]]) -> list[str]:
    differing = set(_differing(variants))
    return [name for name in variants[0] if name not in differing and variants[0][name] != "none"]


def _axes(variants: Sequence[Mapping[str, str]]) -> list[str]:
    """The fields without which some of these would look alike; of two that say the same, the first."""
    found = _differing(variants)

    def num_told_apart(names: Sequence[str]) -> int:
        return len({tuple(one.get(name) for name in names) for one in variants})

    for name in reversed(found.copy()):
        without = [other for other in found if other != name]
        if num_told_apart(without) == num_told_apart(found):
            found = without
    return found
