"""The model card: what a network is, how well it does and what it cannot, from its record and its folder."""

from dataclasses import dataclass
from textwrap import dedent

import numpy as np

from nin_bench.analysis.names import Names
from nin_bench.analysis.setting import environments
from nin_bench.analysis.tables import VariantRow, compare_variants
from nin_bench.export.choice import Choice
from nin_bench.export.formats import Parity
from nin_bench.export.network import Network
from nin_bench.metrics import METRICS
from nin_bench.reporting import text
from nin_bench.reporting.blocks import (
    NOT_KNOWN,
    Block,
    Bullets,
    Code,
    CodeBlock,
    Page,
    Paragraph,
    Section,
    Table,
    fields,
)
from nin_bench.reporting.markdown import render_markdown
from nin_bench.reporting.sections.setting import machine_and_software
from nin_bench.results import Record, Results, ResultsFolder

MOST_CLASSES = 10
"""Classes that the card lists: those that are recognised least."""

_USE = """\
    import numpy as np
    import onnxruntime
    from PIL import Image

    classes = {classes}
    picture = Image.open("picture.png").convert("{mode}").resize(({side}, {side}), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture, np.float32).reshape({side}, {side}, {channels}).transpose(2, 0, 1) / 255
    images = {images}
    (logits,) = onnxruntime.InferenceSession("model.onnx").run(None, {{"images": images.astype(np.float32)}})
    print(classes[logits[0].argmax()])
    """
_LOAD = """\
    import nin_bench
    from safetensors.torch import load_file

    image = nin_bench.ImageSpec(channels={channels}, resolution={side}, num_classes={num_classes})
    network = nin_bench.build_model("{name}", image, **{arguments})
    network.load_state_dict(load_file("model.safetensors"))
    network.eval()
    """


@dataclass(frozen=True)
class Card:
    """What a model card is made from."""

    results: Results
    choice: Choice
    network: Network
    parity: Parity
    sizes: dict[str, int]
    """Bytes of each file, by name."""

    @property
    def record(self) -> Record:
        """The network's record."""
        return self.choice.record

    @property
    def row(self) -> VariantRow:
        """The variant over its seeds."""
        rows = compare_variants(self.results)
        return next(row for row in rows if row.variant_id == self.record.variant_id)


def model_card(card: Card) -> str:
    """README.md of an exported network."""
    name = Names.of(card.results.grid.variants)[card.record.label]
    sections = (_summary, _use, _training, _scores, _costs, _limits, _origin)
    blocks = tuple(block for section in sections for block in section(card))
    return _FRONT + render_markdown(Page(f"{name}, seed {card.record.cell.seed}", blocks), {})


_FRONT = dedent("""\
    ---
    library_name: pytorch
    pipeline_tag: image-classification
    tags: [nin-bench, onnx, safetensors]
    ---

    """)
"""What model hubs read."""


def _summary(card: Card) -> list[Block]:
    cell, image = card.network.cell, card.network.image
    accuracy, num_params = card.record.metrics.test_accuracy, card.record.metrics.num_params
    assert accuracy is not None
    return [
        Paragraph(
            f"An image classifier: {cell.model.name} with {text.human_count(num_params)} parameters, trained on "
            f"{cell.data.name} at {image.resolution}×{image.resolution} pixels, {image.num_classes} classes, "
            f"{100 * accuracy:.1f} % test accuracy."
        )
    ]


def _use(card: Card) -> list[Block]:
    image, cell, dataset = card.network.image, card.network.cell, card.network.dataset
    values = {
        "classes": list(dataset.classes),
        "channels": image.channels,
        "mode": {1: "L", 3: "RGB"}[image.channels],
        "side": image.resolution,
        "num_classes": image.num_classes,
        "name": cell.model.name,
        "arguments": cell.model.arguments,
        "images": "pixels[None]",
    }
    if dataset.normalize == "dataset":
        mean, std = (np.round(values.double().numpy(), 6).tolist() for values in (dataset.mean, dataset.std))
        values["images"] = f"(pixels[None] - np.reshape({mean}, (1, -1, 1, 1))) / np.reshape({std}, (1, -1, 1, 1))"
    return [
        Section(
            "Use",
            (
                Paragraph((Code("model.onnx"), " takes any number of images and needs no PyTorch:")),
                CodeBlock(dedent(_USE).format(**values).rstrip(), "python"),
                Paragraph((Code("model.safetensors"), " holds the weights for PyTorch:")),
                CodeBlock(dedent(_LOAD).format(**values).rstrip(), "python"),
            ),
        )
    ]


def _training(card: Card) -> list[Block]:
    cell, network = card.network.cell, card.network
    resolution, normalised = f"{network.image.resolution}×{network.image.resolution}", ""
    if cell.data.normalize == "dataset":
        normalised = ", less the mean and over the deviation of the training images, channel by channel"
    num_train, num_validation, num_test = network.num_split
    rows = [
        (
            "Images",
            f"{cell.data.name}: {num_train:,} to train on, {num_validation:,} to validate, {num_test:,} to test",
        ),
        ("Input", f"resized to {resolution} (bilinear, antialiased), pixels in [0, 1]{normalised}"),
        ("Classes", ", ".join(network.dataset.classes)),
        ("Network", fields({name: text.field_value(value) for name, value in cell.model.arguments.items()})),
        (
            "Recipe",
            fields({name: text.field_value(value, name) for name, value in cell.recipe.identity().items()}),
        ),
        ("Seed", f"{cell.seed:,}"),
    ]
    rest = "What the recipe does not say is at nin_bench's default; the record has every field."
    return [Section("Training", (Table(("", ""), tuple(rows), "ll"), Paragraph(rest)))]


def _scores(card: Card) -> list[Block]:
    row, metrics = card.row, card.record.metrics
    scores = {"test_accuracy": row.test_accuracy, **row.scores}
    shown = [
        (METRICS[name].heading, METRICS[name].shown(value), text.metric_spread(spread, METRICS[name].unit))
        for name, spread in scores.items()
        if (value := getattr(metrics, name)) is not None
    ]
    chosen = (
        f"It was chosen among {card.choice.num_candidates} networks, which differ in their seed, by validation "
        "accuracy; the test images had no say."
        if card.choice.num_candidates > 1
        else "It was named by hand, not chosen by its scores."
    )
    spread = (
        "The spread is over the networks of this recipe, which differ in their seed alone: expect their mean, not "
        f"this network's score. {text.tally(row.failed)} of them failed to learn."
    )
    table = Table(("on the test images", "this network", "mean ± standard deviation"), tuple(shown), "lrr")
    return [Section("Scores", (table, Paragraph(f"{chosen} {spread}")))]


def _costs(card: Card) -> list[Block]:
    metrics = card.record.metrics
    rows = [
        ("parameters", text.human_count(metrics.num_params)),
        ("multiply-accumulates per image", text.human_count(metrics.num_macs)),
        *((name, text.human_bytes(size)) for name, size in card.sizes.items()),
    ]
    if metrics.train_seconds is not None:
        rows.append(("training this network, s", text.three_digits(metrics.train_seconds)))
    blocks: list[Block] = []
    entry = card.results.cost_entries.get(card.record.variant_id)
    if entry is not None:
        for name, value in entry.headline().items():
            if name in METRICS and METRICS[name].kind == "measured" and value is not None:
                rows.append((METRICS[name].heading, METRICS[name].shown(value)))
        blocks = [Paragraph(f"Measured on {entry.machine.processor}, device {entry.machine.device}.")]
    return [Section("Costs", (Table(("", ""), tuple(rows), "lr"), *blocks))]


def _limits(card: Card) -> list[Block]:
    network, metrics = card.network, card.record.metrics
    data, classes = network.cell.data, network.dataset.classes
    label = network.predictions["label"]
    right = (network.predictions["predicted"] == label) * network.predictions["credit"]
    recognised = [(float(right[label == number].mean()), number) for number in np.unique(label)]
    worst = sorted(recognised)[:MOST_CLASSES]
    rows = [
        (classes[number], f"{int((label == number).sum()):,}", f"{100 * share:.1f}") for share, number in worst
    ]
    items = [
        f"It knows pictures as in {data.name} and nothing else: other pictures were not tried, and each is "
        f"assigned to one of the {len(classes)} classes, whatever it shows.",
        "Its test images may resemble its training images more than yours do.",
    ]
    if metrics.test_calibration_error is not None:
        error = 100 * metrics.test_calibration_error
        items.append(f"Its probabilities are off by {error:.1f} points on average (expected calibration error).")
    if metrics.lost_classes and not metrics.failed:
        items.append(f"It never answers {', '.join(classes[number] for number in metrics.lost_classes)}.")
    if metrics.failed:
        items.append("It failed to learn: its training loss is no better than that of a constant guess.")
    table = Table(("class", "test images", "recognised, %"), tuple(rows), "lrr")
    lead = "Classes that it recognises least:" if len(recognised) > MOST_CLASSES else "How many it recognises:"
    return [Section("Limits", (Bullets(tuple(items)), Paragraph(lead), table))]


def _origin(card: Card) -> list[Block]:
    record, grid, network, parity = card.record, card.results.grid, card.network, card.parity
    lines = machine_and_software(environments([record.environment]))
    replays = ResultsFolder(card.results.folder).find_replays()
    replayed = (
        next((one.verdict for one in replays.cells if one.cell_id == record.cell_id), None) if replays else None
    )
    same = network.num_images - network.num_other
    rows = [
        ("Grid", f"{grid.name}, profile {grid.profile}"),
        *([("Question", text.sentence(grid.question))] if grid.question else []),
        ("Cell", f"{record.cell_id}, of the variant {record.label}"),
        ("Trained", record.attempts[-1].finished_at or NOT_KNOWN),
        *((title, fields(values)) for title, values in lines.items()),
        ("Predictions", f"as recorded for {same:,} of {network.num_images:,} test images"),
        (
            "ONNX Runtime",
            f"on {parity.num_images:,} test images its logits differ from PyTorch's by at most "
            f"{parity.max_difference:.1e}, and the class of {parity.num_other:,}",
        ),
        *([("Trained again", replayed)] if replayed else []),
    ]
    return [Section("Origin", (Table(("", ""), tuple(rows), "ll"),))]
