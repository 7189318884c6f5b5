"""Two figures of the report on 1×1 layers, made again from its records.

marimo edit notebooks/onexone.py    # opens it in a browser
python notebooks/onexone.py         # runs it
"""

import marimo

app = marimo.App(width="medium")


@app.cell
def _():
    from pathlib import Path

    import marimo as mo
    import matplotlib.pyplot as plt

    import nin_bench

    return Path, mo, nin_bench, plt


@app.cell
def _(mo):
    mo.md("""
    # How many 1×1 layers does a NiN block need?

    The grid `onexone` trained seven networks on Fashion-MNIST, each from 12 to 24 seeds. Its records lie in
    `results/reference/onexone/cpu`. `load_results` reads them as tables: `results.cells` has a row a network,
    `results.history` one an epoch.
    """)
    return


@app.cell
def _(Path, nin_bench):
    folder = Path(__file__).parents[1] / "results" / "reference" / "onexone" / "cpu"
    results = nin_bench.load_results(folder)
    trained = results.cells[results.cells["outcome"] == "trained"]  # no open claim needed the other seeds
    trained[["label", "seed", "test_accuracy", "failed", "num_lost_classes"]]
    return results, trained


@app.cell
def _(mo):
    mo.md("""
    ## Every network

    A mark is a network. One network each would have shown one mark of every row, picked by chance: the order of
    two variants may depend on the seed. Filled marks predict every class, open ones lost at least one.
    """)
    return


@app.cell
def _(plt, results, trained):
    labels = [variant.label for variant in results.grid.variants]
    networks, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for sound, face in ((True, "C0"), (False, "none")):
        shown = trained[(trained["num_lost_classes"] == 0) == sound]
        axes.scatter(
            100 * shown["test_accuracy"],
            shown["label"].map(labels.index),
            facecolors=face,
            edgecolors="C0",
            label="predicts every class" if sound else "lost a class",
        )
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("test accuracy, %")
    axes.legend()
    networks
    return labels, networks


@app.cell
def _(mo):
    mo.md("""
    ## Learning curves

    A line is the mean over the networks of a variant that did not fail; a failed one would pull the mean to where
    no network is.
    """)
    return


@app.cell
def _(labels, plt, results, trained):
    learned = trained.loc[~trained["failed"].astype(bool), "cell_id"]
    history = results.history[results.history["cell_id"].isin(learned)]
    means = history.pivot_table(index="epoch", columns="label", values="validation_accuracy")[labels]
    curves, _axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for _label in labels:
        _axes.plot(means.index, 100 * means[_label], label=_label)
    _axes.set_xlabel("epoch")
    _axes.set_ylabel("validation accuracy, %")
    _axes.legend(fontsize="small")
    curves
    return curves, means


if __name__ == "__main__":
    app.run()
