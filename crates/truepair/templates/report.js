// Comfort only: without this script the page shows everything, in the order of the findings.
(() => {
  "use strict";
  const PAGE = matchMedia("(max-width: 40rem)").matches ? 12 : 24;

  for (const button of document.querySelectorAll(".copy")) {
    if (!navigator.clipboard) break;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  for (const section of document.querySelectorAll(".gallery-section")) {
    const tools = section.querySelector(".tools");
    if (!tools) continue;
    const list = section.querySelector(".gallery");
    const more = section.querySelector(".more");
    const search = tools.querySelector("input");
    const order = tools.querySelector("select");
    const shown = tools.querySelector(".shown");
    const cards = [...list.children].map((element) => ({ element, text: element.textContent.toLowerCase() }));
    let limit = PAGE;

    const update = () => {
      const wanted = search.value.trim().toLowerCase();
      const hits = cards.filter((card) => card.text.includes(wanted));
      const last = printing ? hits.length : limit;
      for (const card of cards) card.element.hidden = true;
      hits.slice(0, last).forEach((card) => { card.element.hidden = false; });
      shown.textContent = hits.length ? `${Math.min(last, hits.length)} of ${hits.length}` : "none";
      more.hidden = hits.length <= last;
    };
    const sort = () => {
      const key = order.value;
      const sign = key === "pair" ? 1 : -1;
      cards.sort((a, b) => sign * (a.element.dataset[key] - b.element.dataset[key]) || a.element.dataset.pair - b.element.dataset.pair);
      list.append(...cards.map((card) => card.element));
      update();
    };

    let printing = false;
    addEventListener("beforeprint", () => { printing = true; update(); });
    addEventListener("afterprint", () => { printing = false; update(); });
    search.addEventListener("input", () => { limit = PAGE; update(); });
    order.addEventListener("change", sort);
    more.querySelector("button").addEventListener("click", () => { limit += PAGE; update(); });
    tools.hidden = false;
    update();
  }
})();
