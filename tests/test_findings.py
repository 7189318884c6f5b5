"""Every number of reports/README.md stands in a report that ships."""

import json
from pathlib import Path
from typing import Any

import pytest

from nin_bench.analysis.analysis import analyse
from nin_bench.results import load_results

REPORTS = Path(__file__).parent.parent / "reports"


def analysis(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((REPORTS / "reference" / name / "report.json").read_text())
    return found


RESOURCES, RESOURCES_CPU, ONEXONE = map(analysis, ["resources/full", "resources/cpu", "onexone/cpu"])
LENET, DATASIZE, HEAD = map(analysis, ["protocol/lenet", "datasize/cpu", "head/cpu"])
NONLINEARITY = analysis("nonlinearity/cpu")
SEARCH = json.loads((REPORTS / "reference" / "lr_search" / "cpu" / "search.json").read_text())


def entry(label: str) -> dict[str, Any]:
    [found] = [row["entry"] for row in RESOURCES["costs"][0]["rows"] if row["label"] == label]
    return dict(found)


def verdict(report: dict[str, Any], name: str) -> tuple[str, float, tuple[float, float]]:
    [found] = [one for one in report["hypotheses"] if one["id"] == name]
    return found["verdict"], found["effect"], tuple(found["interval"] or (0, 0))


NIN, ALEXNET, VGG = map(entry, ["NiN-2", "AlexNet", "VGG-11"])


def params(one: dict[str, Any]) -> int:
    return int(one["num_params"]["total"])


def share(one: dict[str, Any], what: str, kind: str) -> str:
    return f"{100 * one[what][kind] / one[what]['total']:.2g} %"


def time_share(label: str, kind: str) -> str:
    [row] = [row for row in RESOURCES["costs"][0]["rows"] if row["label"] == label]
    seconds = row["seconds_by_kind"]
    return f"{100 * seconds[kind] / sum(seconds.values()):.0f} %"


def peak(one: dict[str, Any]) -> str:
    return f"{one['memory_bytes']['train_peak'] / 1e6:,.0f} MB"


def batches(one: dict[str, Any]) -> dict[int, float]:
    sizes = one["memory_bytes"]["batches"]
    return {size["batch_size"]: size["peak"] / 1e6 for size in sizes if not size["micro_batch"]}


def per_image(one: dict[str, Any], places: int) -> tuple[str, str]:
    at = batches(one)
    return f"{(at[64] - at[32]) / 32:.{places}f}", f"{(at[128] - at[64]) / 64:.{places}f}"


def points(value: float, sign: str = "+") -> str:
    return f"{100 * value:{sign}.1f}".replace("-", "−")


def interval(report: dict[str, Any], name: str) -> str:
    low, high = verdict(report, name)[2]
    return f"{points(low)} to {points(high)}"


def compared(report: dict[str, Any], label: str) -> dict[str, Any]:
    [row] = [row for row in report["comparison"] if row["label"] == label]
    return dict(row)


def accuracy(label: str, report: dict[str, Any] = ONEXONE) -> str:
    return f"{points(compared(report, label)['test_accuracy']['mean'], '')} %"


def asked(label: str, kind: str) -> dict[int, dict[str, Any]]:
    """What the networks of a head answered to probes of a kind, by pixels."""
    [found] = [one for one in HEAD["probes"]["variants"] if one["label"] == label]
    return {one["at"]: one for one in found[kind]}


def lost_when_moved(label: str) -> str:
    low, high = asked(label, "shift")[16]["interval"]
    return f"{points(-high, '')} to {points(-low, '')}"


def at_sizes(label: str) -> str:
    found = asked(label, "resolution")
    return ", ".join(points(found[size]["accuracy"]["mean"], "") for size in (99, 163, 195))


def epochs(label: str) -> str:
    """The median epoch at which a head's networks reach the target, with its interval."""
    [found] = [one for one in HEAD["target"]["variants"] if one["label"] == label]
    return "{:.0f} ({:.0f} to {})".format(
        found["median"],
        found["median_interval"][0],
        *("?" if end is None else f"{end:.0f}" for end in found["median_interval"][1:]),
    )


def by_size(model: str) -> str:
    """A model's mean accuracies on few, more and many images."""
    rows = [row for row in DATASIZE["comparison"] if row["label"].startswith(f"{model} ")]
    few, more, many = (points(row["test_accuracy"]["mean"], "") for row in rows)
    return f"{few}, {more} and {many} %"


def num_lost(label: str) -> tuple[int, int]:
    """Networks that never predict some class, of how many."""
    [row] = [row for row in ONEXONE["losing_networks"] if row["label"] == label]
    return row["num_lost"], row["num_known"]


def curve(name: str) -> dict[str, Any]:
    [found] = [one for one in SEARCH["curves"] if one["name"] == name]
    return dict(found)


def decades(name: str) -> str:
    width = curve(name)["width"]
    return f"{width['size']:.2f} to {width['at_most']:.2f}"


def chance(name: str) -> str:
    found = curve(name)["chance"]
    low, high = found["interval"]
    return f"{100 * found['share']:.0f} % ({100 * low:.0f} to {100 * high:.0f} %)"


def num_learned(name: str, rate: float) -> tuple[int, int]:
    [point] = [one for one in curve(name)["points"] if one["rate"] == rate]
    return point["learned"]["count"], point["learned"]["of"]


def sentences() -> list[str]:
    """What the page has to say, with the reports' numbers."""
    _, dense, (dense_low, dense_high) = verdict(RESOURCES, "dense-layers-take-little-time")
    _, faster, (low, high) = verdict(RESOURCES, "trains-slower-than-alexnet")
    _, _, (quarter_low, quarter_high) = verdict(RESOURCES_CPU, "trains-slower-than-alexnet")
    _, behind, ahead = verdict(ONEXONE, "better-than-alexnet")
    _, _, three = verdict(ONEXONE, "two-beat-three")
    _, _, dense_behind = verdict(ONEXONE, "pooling-replaces-dense")
    _, _, gap = verdict(ONEXONE, "pooling-overfits-less")
    _, _, later = verdict(ONEXONE, "pooling-starts-later")
    _, _, worse = verdict(DATASIZE, "no-better-than-alexnet")
    _, _, gained = verdict(DATASIZE, "nin-gains-with-images")
    others = [num_lost(row["label"]) for row in ONEXONE["comparison"] if row["label"] != "NiN-2 drawn"]
    assert sum(count for count, _ in others) == 0
    earlier = analyse(load_results(REPORTS.parent / "tests" / "frozen" / "results" / "onexone" / "cpu"))
    [two_beat_three] = [one for one in earlier.hypotheses if one.id == "two-beat-three"]
    assert two_beat_three.effect is not None
    [builds] = LENET["references"]
    measured, published = builds["measured"], builds["published"]
    return [
        f"{measured['n']} networks reach {points(measured['mean'], '')} % ± {points(measured['sd'], '')} of test "
        f"accuracy, {published['n']} builds {points(published['mean'], '')} % ± {points(published['sd'], '')}.",
        "differ by " + " to ".join(map(points, builds["interval"])) + " points (95 %)",
        f"{params(NIN):,} parameters, {100 * params(NIN) / params(ALEXNET):.1f} % of AlexNet's",
        f"of AlexNet's {params(ALEXNET):,} and",
        f"{100 * params(NIN) / params(VGG):.1f} % of VGG-11's {params(VGG):,}",
        f"{peak(NIN)} for NiN, {peak(ALEXNET)} for AlexNet and {peak(VGG)} for VGG-11",
        f"hold {share(ALEXNET, 'num_params', 'dense')} of its parameters",
        f"do {share(ALEXNET, 'num_macs', 'dense')} of its MACs",
        f"take {time_share('AlexNet', 'dense')} of its training time",
        f"×{dense:.3f}, ×{dense_low:.3f} to ×{dense_high:.3f}, 20 rounds",
        f"by {faster:.1f} images a second ({low:+.1f} to {high:+.1f}) at some "
        f"{NIN['train']['images_per_second']['median']:.0f}",
        f"({quarter_low:+.0f} to {quarter_high:+.0f} at some 1,000)".replace("-", "−"),
        f"1×1 layers take {time_share('NiN-2', 'pointwise')} of its training time, its spatial convolutions "
        f"{time_share('NiN-2', 'convolution')}",
        f"by {points(-behind, '')} points ({points(-ahead[1], '')} to {points(-ahead[0], '')}, 12 seeds)",
        f"NiN reaches {by_size('nin')}",
        f"AlexNet {by_size('alexnet')}",
        f"on average over the three ({-100 * worse[1]:.2f} to {-100 * worse[0]:.2f} points)",
        f"loses {-100 * gained[1]:.2f} to {-100 * gained[0]:.2f} points on AlexNet",
        f"Two less one is between {interval(ONEXONE, 'two-beat-one').replace(' to ', ' and ')} points",
        f"two less none between {interval(ONEXONE, 'two-beat-none').replace(' to ', ' and ')}: both",
        f"better than three, by {100 * three[0]:.2f} to {100 * three[1]:.2f} points",
        "without 1×1 layers reach {}, with one {}, with two {}, with three {}".format(
            *(accuracy(f"NiN-{layers}") for layers in range(4))
        ),
        "reaches {} ± 9.0, and {} of {} networks never".format(accuracy("NiN-2 drawn"), *num_lost("NiN-2 drawn")),
        f"of the {sum(count for _, count in others)} others none",
        f"by {points(two_beat_three.effect, '')} points "
        f"({points(two_beat_three.ends[0], '')} to {points(two_beat_three.ends[1], '')})",
        f"with dropout, by {100 * dense_behind[0]:.2f} to {100 * dense_behind[1]:.2f} points (24 seeds)",
        f"larger with pooling, by {100 * gap[0]:.2f} to {100 * gap[1]:.2f} points",
        *head_sentences(),
        *nonlinearity_sentences(),
        f"leave chance level {-later[1]:.2f} to {-later[0]:.2f} epochs earlier",
        "NiN {} and then {} MB".format(*per_image(NIN, 1)),
        "AlexNet {} and {}".format(*per_image(ALEXNET, 1)),
        "VGG-11 {} and {}".format(*per_image(VGG, 0)),
        f"over {decades('NiN-2 clean')} decades of learning rate, AlexNet over {decades('AlexNet')}",
        f"a chance of {chance('NiN-2 clean')}, AlexNet with {chance('AlexNet')}",
        f"takes VGG-11 {batches(VGG)[128] / 1e3:.1f} GB, one of 64 takes {batches(VGG)[64] / 1e3:.1f} GB",
    ]


def head_sentences() -> list[str]:
    """What the page says of heads, which differ in nothing else."""
    gap = compared(HEAD, "dense without dropout")["generalisation_gap"]["mean"]
    seeds = compared(HEAD, "linear")["trained"]
    without = verdict(HEAD, "dropout-helps")[2]
    costs, less = (verdict(HEAD, f"pooling-{name}")[2] for name in ("replaces-flattening", "overfits-less"))
    more = verdict(HEAD, "pooling-converges-later")[2]
    drawn = verdict(HEAD, "drawn-class-block-costs")
    first, last = asked("pooling then linear", "resolution"), asked("class maps", "resolution")
    assert not any(one["accuracy"]["n"] for size, one in asked("linear", "resolution").items() if size != 131)
    return [
        f"reach {accuracy('pooling then linear', HEAD)} and {accuracy('linear', HEAD)} ({seeds} seeds)",
        f"averaging costs {points(-costs[1], '')} to {points(-costs[0], '')} points of test accuracy",
        f"gap between training and test accuracy smaller by {-100 * less[1]:.2f} to {-100 * less[0]:.2f} points",
        f"Without dropout they are ahead of all others, at {accuracy('dense without dropout', HEAD)}, by "
        f"{points(-without[1], '')} to {points(-without[0], '')} points",
        f"gap is the largest, {points(gap, '')} points",
        f"cost {points(-drawn[2][1], '')} to {points(-drawn[2][0], '')} points",
        f"averaged class maps lose {lost_when_moved('class maps')} points, an averaged map before a dense layer "
        f"{lost_when_moved('pooling then linear')}, flattened maps {lost_when_moved('linear')}",
        f"hidden dense layers {lost_when_moved('dense')} with dropout and "
        f"{lost_when_moved('dense without dropout')} without",
        f"takes class maps {epochs('class maps')} epochs, two hidden dense layers {epochs('dense')}",
        f"takes {epochs('pooling then linear')} epochs with an average and {epochs('linear')} without",
        f"takes {more[0]:.0f} to {more[1]:.0f} passes more",
        f"from {points(first[131]['accuracy']['mean'], '')} % to {at_sizes('pooling then linear')} %",
        f"from {points(last[131]['accuracy']['mean'], '')} % to {at_sizes('class maps')} %",
    ]


def nonlinearity_sentences() -> list[str]:
    """What the page says of 1×1 layers with and without ReLUs."""
    parameters, macs, linear = (
        verdict(NONLINEARITY, name)[2]
        for name in ("more-than-parameters", "more-than-macs", "linear-layers-add-nothing")
    )
    seeds = compared(NONLINEARITY, "linear, higher rate")["trained"]
    return [
        f"better than two without, by {relus_gain()} points",
        f"layers lose {points(-parameters[1], '')} to {points(-parameters[0], '')} points, against as many MACs "
        f"{points(-macs[1], '')} to {points(-macs[0], '')},",
        f"worse than none by {points(-linear[1], '')} to {points(-linear[0], '')} points",
        f"within a point ({interval(NONLINEARITY, 'single-pixels-suffice').replace('+', '')} points, 24 seeds)",
        f"{accuracy('linear', NONLINEARITY)} there, and {accuracy('linear, higher rate', NONLINEARITY)} at the "
        f"best rate of its search, where it was trained afterwards ({seeds} seeds,",
        f"with ReLUs reach {accuracy('NiN-2', NONLINEARITY)}, those without 1×1 layers "
        f"{accuracy('none', NONLINEARITY)}, and with as many parameters "
        f"{accuracy('none, as many parameters', NONLINEARITY)}",
    ]


def relus_gain() -> str:
    low, high = verdict(NONLINEARITY, "non-linearity-helps")[2]
    return f"{points(low, '')} to {points(high, '')}"


@pytest.mark.parametrize("sentence", sentences())
def test_a_finding_stands_in_a_report(sentence: str) -> None:
    assert sentence in " ".join((REPORTS / "README.md").read_text().split())


def test_the_readme_says_what_resources_found() -> None:
    macs, time = share(ALEXNET, "num_macs", "dense"), time_share("AlexNet", "dense")
    assert (
        f"dense layers do {macs} of its MACs in {time} of its time" in (REPORTS.parent / "README.md").read_text()
    )


def test_the_readme_says_what_more_images_change() -> None:
    _, _, gained = verdict(DATASIZE, "nin-gains-with-images")
    further = f"{points(-gained[1], '')} to {points(-gained[0], '')} points further behind"
    assert f"from 1,500 to 24,000 images it falls {further}" in (REPORTS.parent / "README.md").read_text()


def test_the_readme_says_what_pooling_buys() -> None:
    said = (REPORTS.parent / "README.md").read_text()
    dense = lost_when_moved("dense without dropout")
    assert f"loses {lost_when_moved('class maps')} points, dense layers without dropout {dense}" in said


def test_the_readme_says_what_non_linearity_is_worth() -> None:
    low, high = verdict(NONLINEARITY, "more-than-parameters")[2]
    behind = f"{points(-high, '')} to {points(-low, '')} behind as many parameters without any"
    said = (REPORTS.parent / "README.md").read_text()
    assert f"two are {relus_gain()} points ahead of linear ones, and {behind}" in said


def test_each_further_layer_bears_a_smaller_rate() -> None:
    learned = [num_learned(f"NiN-{layers} clean", 0.0632) for layers in (1, 2, 3)]
    assert learned == [(3, 3), (1, 3), (0, 3)]


def test_the_verdicts_are_the_reports() -> None:
    for name in ("trains-slower-than-alexnet", "dense-layers-take-little-time"):
        assert verdict(RESOURCES, name)[0] == "refuted"
    said = {
        "two-beat-one": "refuted", "two-beat-three": "undecided", "two-beat-none": "refuted",
        "better-than-alexnet": "refuted", "pooling-replaces-dense": "undecided",
        "pooling-overfits-less": "refuted", "pooling-starts-later": "refuted",
    }  # fmt: skip
    assert {name: verdict(ONEXONE, name)[0] for name in said} == said
    of_heads = {
        "pooling-replaces-flattening": "undecided", "pooling-overfits-less": "undecided",
        "class-maps-replace-dense": "undecided", "drawn-class-block-costs": "supported",
        "class-maps-overfit-less": "refuted", "dropout-helps": "refuted", "pooling-starts-later": "refuted",
        "class-maps-converge-later": "undecided", "pooling-converges-later": "undecided",
    }  # fmt: skip
    assert {name: verdict(HEAD, name)[0] for name in of_heads} == of_heads
    of_layers = {
        "non-linearity-helps": "supported", "more-than-parameters": "refuted", "more-than-macs": "refuted",
        "linear-layers-add-nothing": "refuted", "single-pixels-suffice": "supported",
    }  # fmt: skip
    assert {name: verdict(NONLINEARITY, name)[0] for name in of_layers} == of_layers
    by_images = {"nin-gains-with-images": "refuted", "no-better-than-alexnet": "supported"}
    assert {name: verdict(DATASIZE, name)[0] for name in by_images} == by_images
    [over] = [one for one in DATASIZE["hypotheses"] if one["id"] == "no-better-than-alexnet"]
    assert [point["verdict"] for point in over["points"]] == ["undecided", "supported", "supported"]
