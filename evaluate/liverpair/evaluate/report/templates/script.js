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

document.querySelectorAll(".sync").forEach((box) => {
  const of = (key) => parseFloat(box.dataset[key]), columns = of("columns"), rows = of("rows");
  const wide = (of("right") - of("left")) / (columns + of("wspace") * (columns - 1)), high = (of("bottom") - of("top")) / (rows + of("hspace") * (rows - 1));
  const marks = Array.from({ length: columns }, () => box.appendChild(document.createElement("i")));
  const hide = () => marks.forEach((mark) => { mark.style.display = "none" });
  box.addEventListener("mouseleave", hide);
  box.addEventListener("mousemove", (event) => {
    const at = box.querySelector("img").getBoundingClientRect(), x = (event.clientX - at.left) / at.width - of("left"), y = (event.clientY - at.top) / at.height - of("top");
    const column = Math.floor(x / (wide * (1 + of("wspace")))), row = Math.floor(y / (high * (1 + of("hspace"))));
    const u = x - column * wide * (1 + of("wspace")), v = y - row * high * (1 + of("hspace"));
    if (column < 0 || column >= columns || row < 0 || row >= rows || u > wide || v > high) return hide();
    const top = event.clientY - at.top + box.querySelector("img").offsetTop;
    marks.forEach((mark, n) => { mark.style.display = "block"; mark.style.top = top + "px"; mark.style.left = (of("left") + n * wide * (1 + of("wspace")) + u) * at.width + "px" });
  });
});
