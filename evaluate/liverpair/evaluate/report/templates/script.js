document.querySelectorAll("table.sortable").forEach((table) => {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const number = (text) => {
    const found = /^([<>≤≥]?) *([-−+]?[\d,]*\.?\d+)/.exec(text), just = { "<": -1e-9, ">": 1e-9 };
    return found ? parseFloat(found[2].replace("−", "-").replaceAll(",", "")) + (just[found[1]] || 0) : null;
  };
  const words = new Intl.Collator("en", { numeric: true });
  heads.forEach((th, i) => {
    const button = document.createElement("span"); // a real button is not printed again at the head of every page
    button.setAttribute("role", "button");
    button.tabIndex = 0;
    button.append(...th.childNodes);
    th.append(button);
    const key = (row) => {
      const text = row.cells[i].textContent.trim();
      return text === "–" || text === "" ? null : th.classList.contains("n") ? number(text) : text;
    };
    button.addEventListener("click", () => {
      const way = th.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      const compare = ([x], [y]) => x === y ? 0 : x === null ? 1 : y === null ? -1 : way * (typeof x === "number" ? x - y : words.compare(x, y));
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      th.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      [...body.rows].map((row) => [key(row), row]).sort(compare).forEach((pair) => body.append(pair[1]));
    });
    button.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      button.click();
    });
  });
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
