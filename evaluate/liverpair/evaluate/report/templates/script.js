document.querySelectorAll("table.sortable thead th").forEach((th) => {
  th.tabIndex = 0;
  const sort = () => {
    const body = th.closest("table").tBodies[0], i = [...th.parentNode.children].indexOf(th), up = th.getAttribute("aria-sort") !== "ascending";
    const key = (row) => { const t = row.cells[i].textContent.trim().replace("−", "-"); return t === "–" ? null : /^[-+]?[\d.]+( %)?$/.test(t) ? parseFloat(t) : t };
    const compare = (x, y) => x === y ? 0 : x === null ? 1 : y === null ? -1 : (typeof x !== typeof y ? (typeof x === "number" ? -1 : 1) : x < y ? -1 : 1) * (up ? 1 : -1);
    [...th.parentNode.children].forEach((other) => other.removeAttribute("aria-sort"));
    th.setAttribute("aria-sort", up ? "ascending" : "descending");
    [...body.rows].map((row) => [key(row), row]).sort((a, b) => compare(a[0], b[0])).forEach((pair) => body.append(pair[1]));
  };
  th.addEventListener("click", sort);
  th.addEventListener("keydown", (event) => { if (event.key === "Enter") sort() });
});
addEventListener("beforeprint", () => document.querySelectorAll("details:not(.noprint)").forEach((d) => { d.open = true }));
