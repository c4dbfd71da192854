"use strict";
// Sorts and searches the table of denials. The page says the same without.
(() => {
  const table = document.getElementById("table");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => ({ row, text: row.textContent.toLowerCase() }));
  const search = document.getElementById("search");
  const found = document.getElementById("found");

  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const { row, text } of rows) {
      const hit = words.every((word) => text.includes(word));
      row.hidden = !hit;
      if (hit) n++;
    }
    found.textContent = words.length ? n + " of " + rows.length : "";
  };
  search.addEventListener("input", show);
  search.closest("p").hidden = false;

  const numeric = new Set(["verdict", "count", "hosts", "last"]);
  const headers = Array.from(table.tHead.rows[0].cells);
  headers.forEach((header, column) => {
    const key = header.dataset.key;
    const value = (row) => numeric.has(key) ? Number(row.dataset[key]) : row.cells[column].textContent.trim();
    const compare = (a, b) => numeric.has(key) ? value(a) - value(b) : value(a).localeCompare(value(b));
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    header.replaceChildren(button);
    button.addEventListener("click", () => {
      const was = header.getAttribute("aria-sort");
      const down = was ? was === "ascending" : numeric.has(key);
      for (const other of headers) other.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", down ? "descending" : "ascending");
      const list = rows.map(({ row }) => row).sort((a, b) => down ? compare(b, a) : compare(a, b));
      body.append(...list);
    });
  });

  // Paper has no summary to click on.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = Array.from(document.querySelectorAll("details:not([open])"));
    for (const details of closed) details.open = true;
  });
  addEventListener("afterprint", () => { for (const details of closed) details.open = false; });
})();
