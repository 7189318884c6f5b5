// A row of the table of cells opens what its record says; so does whoever else calls showCell with a cell's id.

const cellBox = document.getElementById("cell") ?? element("div", { id: "cell", tabIndex: -1, hidden: true });
cellBox.setAttribute("aria-live", "polite");

function showCell(id) {
  const cell = data.cells?.[id];
  if (!cell) return;
  document.querySelectorAll("tr.shown").forEach((row) => row.classList.remove("shown"));
  const row = document.querySelector(`tr[data-cell="${CSS.escape(id)}"]`);
  row?.classList.add("shown");
  const close = element("button", { type: "button", textContent: "Close" });
  close.addEventListener("click", () => {
    cellBox.hidden = true;
    row?.querySelector("button")?.focus();
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
  const first = row.cells[0];
  const open = element("button", { type: "button", className: "link", textContent: first.textContent });
  first.replaceChildren(open);
  row.addEventListener("click", () => showCell(row.dataset.cell));
}
const cellTable = document.querySelector("tr[data-cell]")?.closest(".table");
cellTable?.classList.add("cells");
cellTable?.after(cellBox);
document.querySelectorAll("main table").forEach(equip);
