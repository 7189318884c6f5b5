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

function sortRows(table, column, direction) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, text: row.cells[column].textContent.trim() }));
  const known = rows.filter(({ text }) => text !== NOT_KNOWN && text !== "");
  const unknown = rows.filter(({ text }) => text === NOT_KNOWN || text === "");
  const byNumber = known.every(({ text }) => numberIn(text) !== null);
  known.sort((a, b) =>
    direction * (byNumber ? numberIn(a.text) - numberIn(b.text) : a.text.localeCompare(b.text, "en", { numeric: true })),
  );
  body.append(...[...known, ...unknown].map(({ row }) => row));
}

function makeSortable(table) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
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
  if (rows < 2 || !headings.every(Boolean)) return;
  makeSortable(table);
  if (rows >= FILTER_FROM_ROWS) makeFilterable(table);
}
