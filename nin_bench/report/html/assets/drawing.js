// Plots that answer the mouse, each a function from a width and a choice to traces and a layout. A figure is drawn
// when it comes near the screen, and again when the width or the theme changes.

const STACKED_BELOW = 640; // pixels: panels stand one below the other
const PRINTED_WIDTH = 680; // pixels: what a sheet of A4 is wide between its margins
const PRINTED_HEIGHT = 900; // and high, less a heading and a caption
const isTouched = matchMedia("(pointer: coarse)").matches;
const CONFIG = {
  displaylogo: false,
  typesetMath: false, // a label may hold dollars
  displayModeBar: isTouched ? false : "hover",
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  toImageButtonOptions: { format: "svg", filename: "figure" },
};

// A colour of the style sheet as the theme resolves it.
function themeColor(name) {
  const probe = document.getElementById("probe") ?? document.body.appendChild(element("span", { id: "probe", hidden: true }));
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

function faded(color, alpha) {
  const [red, green, blue] = color.startsWith("#")
    ? [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16))
    : color.match(/[\d.]+/g).map(Number);
  return `rgba(${red},${green},${blue},${alpha})`;
}

// What a variant or a kind of layer is drawn in: its colour, lighter on a dark page.
function ink({ color }) {
  if (!isDark()) return color;
  const parts = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return `#${parts.map((part) => Math.round(part + 0.35 * (255 - part)).toString(16).padStart(2, "0")).join("")}`;
}

const isPrinting = () => "printing" in document.documentElement.dataset;
const onPaper = (height) => (isPrinting() ? 0.58 * height : height); // so that a sheet holds two plots

// Drawing

// Text and tables are there at once; plotly, which takes longer to start than all else, comes when the page is shown,
// or before if a plot is wanted.
function startPlotly() {
  const library = document.getElementById("plotly");
  if (library.type) library.replaceWith(element("script", { id: "plotly", textContent: library.textContent }));
}
addEventListener("load", () => setTimeout(startPlotly, 100));

const redraws = new Map(); // by figure

function drawPlot(figure, plot) {
  const box = element("div");
  let select = null;
  const choices = plot.choices?.() ?? [];
  if (choices.length > 1) {
    const options = [["", plot.all], ...choices].map(([value, text]) => element("option", { value, textContent: text }));
    select = element("select", {}, ...options);
    select.setAttribute("aria-label", `What to show of: ${figure.getAttribute("aria-label")}`);
    select.addEventListener("change", () => redraw());
    figure.append(element("div", { className: "choice" }, select));
  }
  figure.append(box);
  let drawn = false;
  function redraw() {
    startPlotly();
    drawn = true;
    const width = isPrinting() ? PRINTED_WIDTH : box.clientWidth;
    const { traces, layout } = (plot.make ?? plot)(width, select?.value || null);
    Plotly.react(box, traces, { ...baseLayout(traces, width, layout), ...layout }, CONFIG);
    box.removeAllListeners("plotly_click");
    box.on("plotly_click", ({ points }) => {
      const at = points[0].customdata;
      if (Number.isInteger(at)) showCell(at);
    });
  }
  const watcher = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) {
      watcher.disconnect();
      redraw();
    }
  }, { rootMargin: "300px" });
  watcher.observe(figure);
  redraws.set(figure, (always) => (drawn || always) && redraw());
}

function forgetPlot(figure) {
  if (!figure) return;
  redraws.delete(figure);
  if (figure.lastChild) Plotly.purge(figure.lastChild);
}

const redrawAll = (always = false) => redraws.forEach((redraw) => redraw(always));
let frame = null;
let lastWidth = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === lastWidth) return; // a phone's address bar comes and goes
  lastWidth = innerWidth;
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => redrawAll());
});
addEventListener("beforeprint", () => {
  document.documentElement.dataset.printing = "";
  redrawAll(true);
});
addEventListener("afterprint", () => {
  delete document.documentElement.dataset.printing;
  redrawAll();
});
themeListeners.push(() => redrawAll());

function baseLayout(traces, width, { plotHeight, roomAbove = 28 }) {
  const named = traces.filter((trace) => trace.showlegend !== false && trace.name);
  const longest = Math.max(0, ...named.map((trace) => trace.name.length));
  const perLine = Math.max(1, Math.floor(width / (longest * 6.6 + 48)));
  const legendHeight = named.length ? 19 * Math.ceil(named.length / perLine) + 12 : 0;
  return {
    width,
    height: plotHeight + legendHeight + roomAbove + 48,
    margin: { l: 58, r: 12, t: roomAbove, b: 48 + legendHeight },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: themeColor("text") },
    hovermode: "closest",
    hoverlabel: { bgcolor: themeColor("box"), bordercolor: themeColor("line"), font: { color: themeColor("text") }, align: "left" },
    showlegend: named.length > 0,
    legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom", xanchor: "left", x: 0 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: themeColor("quiet"), activecolor: themeColor("text") },
  };
}

function axis(title, others = {}) {
  return {
    title: { text: title, standoff: 8 },
    gridcolor: themeColor("line"),
    linecolor: themeColor("quiet"),
    zeroline: false,
    showline: true,
    ticks: "outside",
    ticklen: 4,
    automargin: true,
    fixedrange: isTouched, // a finger scrolls the page
    ...others,
  };
}

// Round numbers from low to high, two to five of them: powers of ten, with 2 and 5 between them, or equal steps.
function roundNumbers(low, high) {
  const within = (ticks) => ticks.filter((tick) => tick >= low && tick <= high);
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const powers = Array.from({ length: last - first + 1 }, (_, at) => 10 ** (first + at));
  const every = Math.ceil((last - first) / 5);
  const steps = [1, 2, 2.5, 5, 10].map((step) => step * 10 ** (Math.floor(Math.log10(high - low)) - 1));
  const linear = (step) => Array.from({ length: Math.ceil(high / step) + 1 }, (_, at) => Number((at * step).toPrecision(12)));
  const choices = [
    powers.flatMap((power) => [power, 2 * power, 5 * power]),
    powers.filter((_, at) => at % every === 0),
    ...(high < 20 * low ? [...steps, ...steps.map((step) => 10 * step)].map(linear) : []),
  ].map(within).filter((ticks) => ticks.length > 1 && ticks.length < 6);
  return choices.sort((a, b) => b.length - a.length)[0] ?? [low, high];
}

// A logarithmic axis with as many labels as can be read; of one value, or nearly one, the stretch around it.
function logAxis(title, values, shown = humanCount) {
  const known = values.filter((value) => value > 0);
  const room = Math.max(1.2, (Math.max(...known) / Math.min(...known)) ** 0.08);
  const [low, high] = [Math.min(...known) / room, Math.max(...known) * room];
  const tickvals = roundNumbers(low, high);
  return axis(title, { type: "log", range: [Math.log10(low), Math.log10(high)], tickvals, ticktext: tickvals.map(shown) });
}

const epochAxis = (last, others = {}) => axis("epoch", { tick0: 0, dtick: Math.max(1, Math.ceil(last / 8)), ...others });

// The axes of panels side by side, or one below the other where it is narrow: [[x, y], …] and the places.
function panels(count, width) {
  const stacked = width < STACKED_BELOW;
  return {
    grid: { rows: stacked ? count : 1, columns: stacked ? 1 : count, pattern: "independent", xgap: 0.16, ygap: 0.28 },
    lines: stacked ? count : 1,
    names: Array.from({ length: count }, (_, at) => (at ? String(at + 1) : "")),
  };
}

const legendName = (label, width) => plotText(shortened(label, Math.max(16, Math.floor((width - 60) / 7))));

// What the cells of a variant hold, by their place in the list.
const cellsOf = (variantId) => data.cells.cell_id.flatMap((_, at) => (data.cells.variant_id[at] === variantId ? [at] : []));
const isUnwell = (at) => data.cells.outcome[at] !== "trained" || data.cells.metrics.failed?.[at] === true;
const cellTitle = (at) => `${plotText(data.cells.variant[at])}, seed ${data.cells.seed[at]}`;

