"use strict";

// Asks the run how it goes, every two seconds, and loads its report again when there is a newer one.

const EVERY_MS = 2000;
const viewer = Math.random().toString(36).slice(2);
const byId = (id) => document.getElementById(id);
let shown = 0;
let answered = "";

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

// A curve of a cell in a box of 100 by 100; epochs that lack the value are left out.
function curve(rows, column, epochs, highest, name) {
  const known = rows.filter((row) => row[column] !== null);
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  const points = known.map((row) => `${(100 * row[0]) / epochs},${100 - (100 * row[column]) / highest}`);
  line.setAttribute("points", points.join(" "));
  line.setAttribute("class", name);
  return line;
}

function cellFigure({ cell_id: id, title, device, epochs, rows }) {
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", "0 0 100 100");
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", `curves of ${title}`);
  const losses = rows.map((row) => row[1]).filter((loss) => loss !== null);
  drawing.append(curve(rows, 1, epochs, Math.max(...losses, 1e-9), "loss"), curve(rows, 2, epochs, 1, "accuracy"));
  const last = rows.at(-1);
  const reached = [`epoch ${last ? last[0] : 0} of ${epochs} on ${device}`];
  if (last) reached.push(`loss (dashed) ${last[1].toFixed(3)}`);
  if (last && last[2] !== null) reached.push(`validation accuracy ${(100 * last[2]).toFixed(1)} %`);
  const words = element("figcaption", {}, element("strong", { textContent: title }), element("br"), reached.join(", "));
  const figure = element("figure", {}, drawing, words);
  figure.dataset.cell = id;
  return figure;
}

function stageOf(state) {
  if (state.stage === "measuring") return `measuring costs: ${state.samples.done} of ${state.samples.total} samples`;
  const waiting = state.num_waiting ? `, ${state.num_waiting} waiting` : "";
  if (state.stage === "training") return `training ${plural(state.running.length, "cell")}${waiting}`;
  return state.stage === "ended" ? "The run has ended." : "starting";
}

// The report keeps the place to which it was scrolled.
function loadReport(version) {
  shown = version;
  const frame = byId("report");
  const place = frame.hidden ? 0 : frame.contentWindow.scrollY;
  frame.hidden = false;
  frame.addEventListener("load", () => frame.contentWindow.scrollTo(0, place), { once: true });
  frame.contentWindow.location.replace(`report.html?viewer=${viewer}&version=${version}`);
}

function show(state) {
  document.title = byId("name").textContent = state.name;
  byId("stage").textContent = stageOf(state);
  byId("stage").className = "";
  const counts = Object.entries(state.outcomes).map(([outcome, count]) => `${count} ${outcome.replaceAll("_", " ")}`);
  byId("outcomes").textContent = counts.length ? `cells so far: ${counts.join(", ")}` : "";
  byId("running").replaceChildren(...state.running.map(cellFigure));
  byId("notes").replaceChildren(...state.notes.map((textContent) => element("li", { textContent })));
  if (state.report > shown) loadReport(state.report);
}

async function ask() {
  try {
    const state = await (await fetch(`state?viewer=${viewer}&shown=${shown}`)).json();
    show(state);
    answered = new Date().toLocaleTimeString();
    if (state.stage === "ended") return;
  } catch {
    byId("stage").textContent = `No answer since ${answered}: the run was killed, or the connection is gone.`;
    byId("stage").className = "lost";
    byId("running").replaceChildren();
  }
  setTimeout(ask, EVERY_MS);
}

ask();
