"use strict";
(() => {
  const key = (cell, numeric) => {
    const text = numeric ? cell.dataset.key : cell.textContent.trim();
    return numeric ? (text === undefined ? null : Number(text)) : text;
  };
  const words = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const sort = (table, column, numeric, down) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row, place) => ({ row, place, value: key(row.cells[column], numeric) }));
    rows.sort((a, b) => {
      if (a.value === null || b.value === null) return (a.value === null) - (b.value === null) || a.place - b.place;
      const order = numeric ? a.value - b.value : words.compare(a.value, b.value);
      return (down ? -order : order) || a.place - b.place;
    });
    body.append(...rows.map((entry) => entry.row));
  };
  for (const table of document.querySelectorAll("table.data")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.addEventListener("click", () => {
        const numeric = head.classList.contains("number");
        const was = head.getAttribute("aria-sort");
        const down = was === "none" ? numeric : was === "ascending";
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        sort(table, column, numeric, down);
      });
      head.replaceChildren(button);
    });
    const tools = table.parentElement.previousElementSibling;
    const input = tools && tools.querySelector("input");
    if (!input) continue;
    tools.hidden = false;
    const count = tools.querySelector("output");
    const rows = [...table.tBodies[0].rows].map((row) => [row, [...row.cells].map((cell) => cell.textContent.toLowerCase()).join("\u0000")]);
    const show = () => {
      const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let kept = 0;
      for (const [row, text] of rows) {
        row.hidden = !wanted.every((word) => text.includes(word));
        kept += row.hidden ? 0 : 1;
      }
      count.textContent = wanted.length ? `${kept} of ${rows.length} rows` : `${rows.length} rows`;
    };
    input.addEventListener("input", show);
    show();
  }
})();
