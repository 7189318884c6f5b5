// Tables that can be sorted by a button in each heading, and filtered where they are long.

const FILTER_FROM_ROWS = 8;
const NOT_KNOWN = "–";
const PREFIXES = { "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 };

// The first number of a cell as the page writes it: "−1.5", "×0.62 (0.60 to 0.64)", "1,912 ± 292", "7.97 MB", "5/5".
function numberIn(text) {
  const found = text.match(/^[×≥≤]?\s*([+−-]?[\d,]*\.?\d+(?:e[+−-]?\d+)?)(?: ([kMGT])?B?\b)?/);
  if (!found) return null;
  return Number(found[1].replace(/,/g, "").replace(/−/g, "-")) * PREFIXES[found[2] ?? ""];
}

// What a number is of: "points" of "−8.9 to +6.8 points", "B" of "7.97 MB", "×" of "×0.62 (0.60 to 0.64)", "" of "5/5".
function unitIn(text) {
  if (text.startsWith("×")) return "×";
  const last = text.replace(/\([^)]*\)/g, "").trim().split(/\s+/).at(-1);
  return /\d/.test(last) ? "" : last.replace(/^[kMGT](?=B?$)/, "");
}

const textsOf = (table, column) => [...table.tBodies[0].rows].map((row) => row.cells[column].textContent.trim());

// Numbers of one unit have an order; what stands among them in words ("none", "by rank") has no place in it, and comes
// last. Points beside images per second have none.
const isOfNumbers = (heading) => heading.classList.contains("number");
const hasOrder = (table, heading, column) =>
  !isOfNumbers(heading) || new Set(textsOf(table, column).filter((text) => numberIn(text) !== null).map(unitIn)).size < 2;

function sortRows(table, column, direction) {
  const body = table.tBodies[0];
  const texts = textsOf(table, column);
  const rows = [...body.rows].map((row, at) => ({ row, text: texts[at], number: numberIn(texts[at]) }));
  const byNumber = isOfNumbers(table.tHead.rows[0].cells[column]);
  const isKnown = ({ text, number }) => (byNumber ? number !== null : text !== NOT_KNOWN && text !== "");
  const known = rows.filter(isKnown);
  known.sort((a, b) => direction * (byNumber ? a.number - b.number : a.text.localeCompare(b.text, "en", { numeric: true })));
  body.append(...[...known, ...rows.filter((row) => !isKnown(row))].map(({ row }) => row));
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
  const box = table.closest(".table");
  const said = element("output");
  const input = element("input", { type: "search", placeholder: "Filter rows" });
  input.setAttribute("aria-label", "Filter rows");
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...table.tBodies[0].rows];
    rows.forEach((row) => {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    });
    const left = rows.filter((row) => !row.hidden).length;
    said.textContent = words.length ? `${left.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows` : "";
  });
  box.before(element("div", { className: "filter" }, input, said));
}

function equip(table) {
  const headings = [...table.tHead.rows[0].cells].map((heading) => heading.textContent.trim());
  const rows = table.tBodies[0]?.rows.length ?? 0;
  if (!headings.every(Boolean)) return;
  for (const row of table.tBodies[0]?.rows ?? []) {
    [...row.cells].forEach((cell, column) => { cell.dataset.heading = headings[column]; }); // where rows become cards
  }
  if (rows < 2) return;
  makeSortable(table);
  if (rows >= FILTER_FROM_ROWS) makeFilterable(table);
}
