// The list of cells, and one of them with its curves and what its record says.

const CELL_COLUMNS = [
  ["outcome", (at) => (data.cells.metrics.failed?.[at] === true ? "collapsed" : data.cells.outcome[at].replace(/_/g, " "))],
  ["test accuracy, %", (at) => share("test_accuracy", at)],
  ["validation accuracy, %", (at) => share("validation_accuracy", at)],
  ["train accuracy, %", (at) => share("train_accuracy", at)],
  ["escaped in epoch", (at) => digits("escape_epoch", at, 2)],
  ["dead maps", (at) => digits("num_dead_maps", at, 0)],
  ["training minutes", (at) => digits("train_seconds", at, 2, 60)],
];

function digits(name, at, places, divisor = 1) {
  const value = data.cells.metrics[name]?.[at];
  return typeof value === "number" ? (value / divisor).toFixed(places) : NOT_KNOWN;
}

const share = (name, at) => digits(name, at, 1, 0.01);

function listCells() {
  const place = document.getElementById("cells");
  if (!data.cells.cell_id.length) {
    place.append(element("p", { textContent: "No cell has a record." }));
    return;
  }
  const columns = CELL_COLUMNS.filter(([, shown]) => data.cells.cell_id.some((_, at) => shown(at) !== NOT_KNOWN));
  const headings = ["variant", "seed", ...columns.map(([heading]) => heading)];
  const classOf = (column) => (["variant", "outcome"].includes(headings[column]) ? "" : "number");
  const head = element("tr", {}, ...headings.map((textContent, column) => element("th", { textContent, className: classOf(column) })));
  const rows = data.cells.cell_id.map((id, at) => {
    const open = element("button", { type: "button", className: "link", textContent: data.cells.variant[at] });
    const texts = [String(data.cells.seed[at]), ...columns.map(([, shown]) => shown(at))];
    const row = element("tr", {}, element("td", {}, open), ...texts.map((textContent, column) => element("td", { textContent, className: classOf(column + 1) })));
    row.dataset.cell = id;
    row.addEventListener("click", () => showCell(at));
    return row;
  });
  const table = element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows));
  const box = element("div", { className: "table cells", tabIndex: 0 }, table);
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "every cell");
  place.append(box);
}

function factsOf(at) {
  const facts = [["outcome", data.cells.outcome[at].replace(/_/g, " ")]];
  for (const [name, values] of Object.entries(data.cells.metrics)) {
    const value = values[at];
    if (value === null || value === undefined) continue;
    const isFraction = typeof value === "number" && !Number.isInteger(value);
    facts.push([name.replace(/_/g, " "), isFraction ? value.toLocaleString("en", { maximumSignificantDigits: 6 }) : value.toLocaleString("en")]);
  }
  facts.push(["cell id", data.cells.cell_id[at]]);
  return facts;
}

function showCell(at) {
  const id = data.cells.cell_id[at];
  const place = document.getElementById("cell");
  document.querySelectorAll("#cells tr.shown").forEach((row) => row.classList.remove("shown"));
  document.querySelector(`#cells tr[data-cell="${CSS.escape(id)}"]`)?.classList.add("shown");
  const close = element("button", { type: "button", textContent: "Close" });
  close.addEventListener("click", () => {
    forgetPlot(place.querySelector(".plot"));
    place.hidden = true;
    document.querySelector("#cells tr.shown button")?.focus();
  });
  forgetPlot(place.querySelector(".plot"));
  const title = `${data.cells.variant[at]}, seed ${data.cells.seed[at]}`;
  const facts = element("dl", {}, ...factsOf(at).map(([name, value]) =>
    element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: value }))));
  place.replaceChildren(element("h3", { textContent: title }), close);
  if (data.causes[id]) place.append(element("p", { textContent: data.causes[id] }));
  place.hidden = false;
  if (data.cell_curves[id]) {
    const figure = element("figure", { className: "plot" });
    figure.setAttribute("aria-label", `Curves of ${title}`);
    place.append(figure);
    drawPlot(figure, plotOfCell(at));
  } else {
    place.append(element("p", { textContent: "This page holds no curve of it." }));
  }
  place.append(facts);
  place.focus({ preventScroll: true });
  place.scrollIntoView({ block: "nearest" });
}

listCells();
document.querySelectorAll("main table").forEach(equip);
document.querySelectorAll("figure[data-plot]").forEach((figure) => drawPlot(figure, PLOTS[figure.dataset.plot]));
themeChanged();
