"use strict";

// What the page does beyond showing text and figures: themes, tables that sort, figures that answer, single cells.

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Themes: the reader's own choice goes over the system's; the style sheet does the rest by color-scheme.

const systemDark = matchMedia("(prefers-color-scheme: dark)");
const themeButton = document.getElementById("theme");
const isDark = () => (document.documentElement.dataset.theme ?? (systemDark.matches ? "dark" : "light")) === "dark";

function nameTheme() {
  themeButton.textContent = isDark() ? "Light" : "Dark";
  themeButton.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
}
themeButton.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  nameTheme();
});
systemDark.addEventListener("change", nameTheme);
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => { details.open = true; }));

// Tables: a button in each heading sorts, and long tables are filtered by words.

const FILTER_FROM_ROWS = 20;
const NOT_KNOWN = "–";
const PREFIXES = { "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 };

// The first number of a cell as the page writes it: "−1.5", "×0.62 (0.60 to 0.64)", "1,912 ± 292", "7.97 MB", "5/5".
function numberIn(text) {
  const found = text.match(/^[×≥≤]?\s*([+−-]?[\d,]*\.?\d+(?:e[+−-]?\d+)?)(?: ([kMGT])?B?\b)?/);
  return found && Number(found[1].replace(/,/g, "").replace(/−/g, "-")) * PREFIXES[found[2] ?? ""];
}

// What a number is of: "points" of "−8.9 to +6.8 points", "B" of "7.97 MB", "×" of "×0.62 (0.60 to 0.64)", "" of "5/5".
function unitIn(text) {
  if (text.startsWith("×")) return "×";
  const last = text.replace(/\([^)]*\)/g, "").trim().split(/\s+/).at(-1);
  return /\d/.test(last) ? "" : last.replace(/^[kMGT](?=B?$)/, "");
}

const textsOf = (table, column) => [...table.tBodies[0].rows].map((row) => row.cells[column].textContent.trim());
const isOfNumbers = (heading) => heading.classList.contains("number");

// Numbers of one unit have an order; points beside images per second have none.
const hasOrder = (table, heading, column) =>
  !isOfNumbers(heading) || new Set(textsOf(table, column).filter((text) => numberIn(text) !== null).map(unitIn)).size < 2;

function sortRows(table, column, direction) {
  const texts = textsOf(table, column);
  const rows = [...table.tBodies[0].rows].map((row, at) => ({ row, text: texts[at], number: numberIn(texts[at]) }));
  const byNumber = isOfNumbers(table.tHead.rows[0].cells[column]);
  const isKnown = ({ text, number }) => (byNumber ? number !== null : text !== NOT_KNOWN && text !== "");
  const known = rows.filter(isKnown);
  known.sort((a, b) => direction * (byNumber ? a.number - b.number : a.text.localeCompare(b.text, "en", { numeric: true })));
  table.tBodies[0].append(...[...known, ...rows.filter((row) => !isKnown(row))].map(({ row }) => row));
}

function makeSortable(table) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    if (!hasOrder(table, heading, column)) return;
    const button = element("button", { type: "button", textContent: heading.textContent });
    heading.replaceChildren(button);
    heading.scope = "col";
    button.addEventListener("click", () => {
      const direction = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      sortRows(table, column, direction);
    });
  });
}

function makeFilterable(table) {
  const said = element("output");
  const input = element("input", { type: "search", placeholder: "Filter rows", ariaLabel: "Filter rows" });
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...table.tBodies[0].rows];
    rows.forEach((row) => { row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word)); });
    const left = rows.filter((row) => !row.hidden).length;
    said.textContent = words.length ? `${left.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows` : "";
  });
  table.closest(".table").before(element("div", { className: "filter" }, input, said));
}

function equip(table) {
  const headings = [...(table.tHead?.rows[0]?.cells ?? [])].map((heading) => heading.textContent.trim());
  const rows = [...(table.tBodies[0]?.rows ?? [])];
  if (!headings.length || !headings.every(Boolean)) return;
  for (const row of rows) [...row.cells].forEach((cell, at) => { cell.dataset.heading = headings[at]; }); // where rows become cards
  if (rows.length > 1) makeSortable(table);
  if (rows.length >= FILTER_FROM_ROWS) makeFilterable(table);
}

// Figures: marks say what they stand for, a variant is set off in all figures at once, and its legend entry hides it.

const tip = document.body.appendChild(element("div", { id: "tip", hidden: true, role: "status" }));
let current = null; // the mark that is pointed at

const withVariant = (id) => document.querySelectorAll(`[data-variant="${CSS.escape(id)}"]`);
const marksOf = (figure) => [...figure.querySelectorAll("[data-says]")].filter((mark) => !mark.closest(".off"));

function setOff(variant) {
  document.documentElement.classList.toggle("set-off", Boolean(variant));
  document.querySelectorAll(".of-variant").forEach((part) => part.classList.remove("of-variant"));
  if (variant) withVariant(variant).forEach((part) => part.classList.add("of-variant"));
}

// A reader's pointer tells where on a long line; without one, what is said stands over the mark's middle.
function pointAt(mark, pointer = null) {
  if (mark === current) return;
  current?.classList.remove("current");
  current = mark;
  tip.hidden = !mark;
  setOff(mark?.dataset.variant);
  if (!mark) return;
  mark.classList.add("current");
  tip.textContent = mark.dataset.says;
  const box = mark.getBoundingClientRect();
  const [x, top, bottom] = pointer ? [pointer.clientX, pointer.clientY - 6, pointer.clientY + 6] : [box.x + box.width / 2, box.y, box.bottom];
  const left = Math.min(Math.max(8, x - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 8);
  const above = top - tip.offsetHeight - 10;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 8 ? above : Math.min(bottom + 10, innerHeight - tip.offsetHeight - 8)}px`;
}

// Thin lines and small marks are hit from nearby, too.
function markNear(x, y) {
  for (const reach of [0, 4, 8])
    for (const [dx, dy] of [[0, -1], [0, 1], [-1, 0], [1, 0], [-0.7, -0.7], [0.7, 0.7], [-0.7, 0.7], [0.7, -0.7]]) {
      const found = document.elementFromPoint(x + reach * dx, y + reach * dy)?.closest("[data-says]");
      if (found) return found;
    }
  return null;
}

function toggleVariant(button) {
  const hidden = button.getAttribute("aria-pressed") === "true";
  const variant = CSS.escape(button.dataset.switch);
  document.querySelectorAll(`[data-switch="${variant}"]`).forEach((one) => one.setAttribute("aria-pressed", String(!hidden)));
  withVariant(button.dataset.switch).forEach((part) => part.classList.toggle("off", hidden));
  pointAt(null);
}

function pressed(figure, event) {
  const button = event.target.closest("[data-switch]");
  if (button && (event.key === "Enter" || event.key === " ")) return toggleVariant(button), true;
  if (button) return false;
  const marks = marksOf(figure);
  const at = marks.indexOf(current);
  const step = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at < 0 ? -1 : at - 1, ArrowUp: at < 0 ? -1 : at - 1, Home: 0, End: -1 }[event.key];
  if (step !== undefined) pointAt(marks.at(step % marks.length) ?? null);
  else if (event.key === "Escape") pointAt(null);
  else if (event.key === "Enter" && current?.dataset.cell) openCell(current.dataset.cell);
  else return false;
  return true;
}

function answer(figure) {
  figure.addEventListener("pointermove", (event) => { if (event.pointerType !== "touch") pointAt(markNear(event.clientX, event.clientY), event); });
  figure.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") pointAt(null); });
  figure.addEventListener("focusout", () => pointAt(null));
  figure.addEventListener("keydown", (event) => { if (pressed(figure, event)) event.preventDefault(); });
  figure.addEventListener("click", (event) => {
    const button = event.target.closest("[data-switch]");
    if (button) return toggleVariant(button);
    const mark = markNear(event.clientX, event.clientY);
    const isSecondTouch = mark === current;
    pointAt(mark, event); // a finger has not pointed before: its first touch says what the mark is, the second opens it
    if (mark?.dataset.cell && (event.pointerType !== "touch" || isSecondTouch)) openCell(mark.dataset.cell);
  });
  for (const button of figure.querySelectorAll("[data-switch]")) {
    button.addEventListener("pointerenter", () => setOff(button.dataset.switch));
    button.addEventListener("focus", () => setOff(button.dataset.switch));
    for (const end of ["pointerleave", "blur"]) button.addEventListener(end, () => setOff(null));
  }
}

// Cells: a row of their table opens what its record says, and so does a mark; in all figures the cell stands out.

const cells = JSON.parse(document.getElementById("data").textContent).cells ?? {};
const cellBox = element("div", { id: "cell", tabIndex: -1, hidden: true, ariaLive: "polite" });
const partsOf = (id) => document.querySelectorAll(`[data-cell="${CSS.escape(id)}"]`);
const rowOf = (id) => document.querySelector(`tr[data-cell="${CSS.escape(id)}"]`);

function closeCell() {
  cellBox.hidden = true;
  document.querySelectorAll(".chosen").forEach((part) => part.classList.remove("chosen"));
}

function openCell(id) {
  const cell = cells[id];
  if (!cell) return; // the page lists only so many
  closeCell();
  partsOf(id).forEach((part) => part.classList.add("chosen"));
  const close = element("button", { type: "button", textContent: "Close" });
  close.addEventListener("click", () => {
    closeCell();
    rowOf(id)?.querySelector("button")?.focus();
  });
  const facts = Object.entries(cell.facts).map(([name, value]) =>
    element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: value })));
  cellBox.replaceChildren(element("h3", { textContent: cell.title }), close);
  if (cell.cause) cellBox.append(element("p", { textContent: cell.cause }));
  cellBox.append(element("dl", {}, ...facts));
  cellBox.hidden = false;
  cellBox.closest("details")?.setAttribute("open", "");
  cellBox.focus({ preventScroll: true });
  cellBox.scrollIntoView({ block: "nearest" });
}

for (const row of document.querySelectorAll("tr[data-cell]")) {
  const name = row.cells[0];
  name.replaceChildren(element("button", { type: "button", className: "link", textContent: name.textContent }));
  row.addEventListener("click", () => openCell(row.dataset.cell));
}
const cellTable = document.querySelector("tr[data-cell]")?.closest(".table");
cellTable?.classList.add("cells");
cellTable?.after(cellBox);
document.querySelectorAll("main table").forEach(equip);
document.querySelectorAll("svg.figure").forEach(answer);
nameTheme();
themeButton.hidden = false;
