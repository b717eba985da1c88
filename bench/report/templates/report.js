"use strict";
const LONG = 30; // rows that a table shows of itself
const MANY = 6; // and remarks that a list does

function tools(table) {
  const rows = () => [...table.tBodies[0].rows];
  const bar = document.createElement("div");
  bar.className = "tools";
  bar.innerHTML = '<input type="search" placeholder="Filter rows" aria-label="Filter rows"><span role="status"></span><button type="button"></button>';
  const [field, told, more] = bar.children;
  let all = false;
  const show = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = rows().filter((row) => words.every((word) => row.textContent.toLowerCase().includes(word)));
    const shown = new Set(all ? fits : fits.slice(0, LONG));
    for (const row of rows()) row.hidden = !shown.has(row);
    told.textContent = `${shown.size} of ${rows().length} rows`;
    more.hidden = fits.length <= LONG;
    more.textContent = all ? `Show ${LONG}` : `Show all ${fits.length}`;
  };
  field.addEventListener("input", show);
  more.addEventListener("click", () => { all = !all; show(); });
  table.parentElement.before(bar);
  show();
  return { show, reveal: () => { all = true; field.value = ""; show(); } };
}

function sortable(table, after) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const numeric = head.classList.contains("right");
    const key = (row) => row.cells[column].dataset.key;
    const order = (a, b) => {
      const x = key(a), y = key(b);
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined); // missing last
      return (down ? -1 : 1) * (numeric ? x - y : x.localeCompare(y, undefined, { numeric: true }));
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
    after();
  }));
}

for (const list of document.querySelectorAll(".notice > ul")) {
  const rest = [...list.children].slice(MANY);
  if (rest.length < 2) continue;
  for (const item of rest) item.hidden = true;
  const more = document.createElement("button");
  more.type = "button";
  more.className = "more";
  more.textContent = `Show ${rest.length} more`;
  more.addEventListener("click", () => { for (const item of rest) item.hidden = false; more.remove(); });
  list.after(more);
}

const long = new Map();
for (const table of document.querySelectorAll("table.sortable")) {
  if (table.tBodies[0].rows.length > LONG) long.set(table, tools(table));
  sortable(table, () => long.get(table)?.show());
}

function follow() { // a link to a row that is folded away opens what hides it
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.hidden) long.get(target.closest("table"))?.reveal();
  for (let box = target.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
  target.scrollIntoView();
}
addEventListener("hashchange", follow);
follow();

const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const seen = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) seen[isIntersecting ? "add" : "delete"](target.id);
  const current = [...links.keys()].find((id) => seen.has(id));
  for (const [id, link] of links) id === current ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
}, { rootMargin: "0px 0px -60% 0px" });
for (const id of links.keys()) watcher.observe(document.getElementById(id));

const folded = []; // browsers without ::details-content print what is open
addEventListener("beforeprint", () => {
  folded.push(...document.querySelectorAll("details:not([open])"));
  for (const box of folded) box.open = true;
});
addEventListener("afterprint", () => { for (const box of folded.splice(0)) box.open = false; });
