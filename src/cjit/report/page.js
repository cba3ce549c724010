"use strict";
// Sorting and filtering the table of findings. Without this script the page can be read all the same.
(() => {
  const table = document.getElementById("table");
  if (!table) return;
  const form = document.getElementById("filters");
  const field = (name) => document.getElementById(name);
  const status = field("status");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const gravity = { reject: 0, exclude: 1, mismatch: 2, query: 3 };
  const text = new Intl.Collator("en-GB", { numeric: true });
  const lines = [...body.rows].map((row, place) => ({
    row,
    place,
    words: row.textContent.toLowerCase(),
    cells: [...row.cells].map((cell) => cell.textContent),
    rule: row.dataset.rule,
    severity: row.dataset.severity,
  }));
  const keys = (line, column) => {
    if (column === 0) return parseInt(line.cells[0], 10);
    if (column === 6) return gravity[line.severity];
    return line.cells[column];
  };

  const filter = () => {
    const words = field("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const client = field("client").value.trim().toLowerCase();
    const severity = field("severity").value;
    const rule = field("rule").value;
    let shown = 0;
    for (const line of lines) {
      const keep =
        (!severity || line.severity === severity) &&
        (!rule || line.rule === rule) &&
        (!client || line.cells[1].toLowerCase().includes(client)) &&
        words.every((word) => line.words.includes(word));
      line.row.hidden = !keep;
      if (keep) shown += 1;
    }
    const number = (n) => n.toLocaleString("en-GB");
    status.textContent = shown
      ? `Showing ${number(shown)} of ${number(lines.length)} findings`
      : "No finding matches: change what is asked for, or choose “Show all”";
  };

  const sort = (column, direction) => {
    const sign = direction === "descending" ? -1 : 1;
    lines.sort((a, b) => {
      const [x, y] = [keys(a, column), keys(b, column)];
      const order = typeof x === "number" ? x - y : text.compare(x, y);
      return sign * order || a.place - b.place;
    });
    body.append(...lines.map((line) => line.row));
    heads.forEach((head, place) => {
      if (place === column) head.setAttribute("aria-sort", direction);
      else head.removeAttribute("aria-sort");
    });
    field("sort").value = String(column);
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => {
      sort(column, head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending");
    });
    head.replaceChildren(button);
  });
  field("sort").addEventListener("change", (event) => sort(Number(event.target.value), "ascending"));
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  const reset = () => {
    form.reset();
    sort(0, "ascending");
  };
  field("show-all").addEventListener("click", () => {
    reset();
    filter();
  });
  for (const link of document.querySelectorAll("a.pick")) {
    link.addEventListener("click", () => {
      reset();
      field("rule").value = link.dataset.rule;
      filter();
    });
  }

  // On a narrow screen the rows are shown as cards, and a browser may forget that they are a table.
  table.setAttribute("role", "table");
  for (const row of table.rows) {
    row.setAttribute("role", "row");
    for (const cell of row.cells) {
      cell.setAttribute("role", cell.tagName === "TD" ? "cell" : cell.scope === "row" ? "rowheader" : "columnheader");
    }
  }
  form.hidden = false;
  filter();
})();
