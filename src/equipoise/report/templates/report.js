"use strict";
(() => {
  document.documentElement.classList.add("js");

  // Tabs. Tabs of one subject turn together, so that an attribute chosen once is chosen everywhere.
  const lists = [...document.querySelectorAll(".tabs")].map((box) => ({
    subject: box.dataset.subject,
    buttons: [...box.querySelectorAll(":scope > .tablist > [role=tab]")],
    panels: [...box.querySelectorAll(":scope > .panel")],
  }));
  const show = (list, index) => {
    list.buttons.forEach((button, i) => {
      button.setAttribute("aria-selected", String(i === index));
      button.tabIndex = i === index ? 0 : -1;
    });
    list.panels.forEach((panel, i) => panel.classList.toggle("hidden", i !== index));
  };
  const choose = (list, index) => {
    const button = list.buttons[index];
    const before = button.getBoundingClientRect().top;
    const label = button.textContent;
    for (const other of lists) {
      if (other.subject !== list.subject) continue;
      const match = other.buttons.findIndex((b) => b.textContent === label);
      if (match >= 0) show(other, match);
    }
    window.scrollBy(0, button.getBoundingClientRect().top - before);
  };
  for (const list of lists) {
    show(list, 0);
    list.buttons.forEach((button, i) => {
      button.addEventListener("click", () => choose(list, i));
      button.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const next = (i + step + list.buttons.length) % list.buttons.length;
        choose(list, next);
        list.buttons[next].focus({ preventScroll: true });
      });
    });
  }

  // Sorting: a click on a head; cells without a number stay last.
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    const body = table.tBodies[0];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => row.cells[column].dataset.sort;
        const compare = (a, b) => {
          const [x, y] = [key(a), key(b)];
          if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
          const difference = Number(x) - Number(y);
          const order = Number.isNaN(difference) ? x.localeCompare(y) : difference;
          return down ? -order : order;
        };
        body.append(...[...body.rows].sort(compare));
      });
    });
  }

  // Folds: open for a link into one, and for print; those opened for print close after it.
  const reveal = (hash) => {
    const target = hash.length > 1 ? document.getElementById(hash.slice(1)) : null;
    for (let box = target && target.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    return target;
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link) reveal(link.hash);
  });
  const arrive = () => {
    const target = reveal(location.hash);
    if (target) target.scrollIntoView();
  };
  window.addEventListener("hashchange", arrive);
  arrive();
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((box) => { box.open = true; });
  });
  window.addEventListener("afterprint", () => opened.forEach((box) => { box.open = false; }));
})();
