// The search page: what is typed, dropped or clicked becomes a query, a query becomes an address and hits.

import { describe, hasToken, search, setToken, showPicture } from "./server.js";
import { COVERAGES, TOP, asksNothing, fromAddress, nothing, toAddress, toBody } from "./query.js";
import { element, number, percent, sentence, showGhosts, showHits } from "./results.js";
import { closeDetail, isDetailOpen, openDetail } from "./detail.js";

const byId = (id) => document.getElementById(id);
const [box, text, filter, coverage, gallery] = ["box", "text", "filter", "coverage", "gallery"].map(byId);

/** How long typing must rest before the server is asked, and before it counts as one step of the history. */
const DEBOUNCE = 140;
const FILTER_DEBOUNCE = 450;
const SETTLED = 1500;
const LARGEST_PICTURE = 11_000_000;

let described = null;
let query = fromAddress(location.href);
let answer = null;
let asked = 0;
let asking = null;
let timer = 0;
let lastTyped = 0;
let showsNearest = false;
const pictures = new Map();

// --- asking ---

/** Takes a changed query: into the address at once, to the server after `delay` ms. */
function take(change, { delay = 0, replace = false } = {}) {
  query = { ...query, show: "", ...change };
  showsNearest = false;
  const address = toAddress(query);
  if (replace) history.replaceState(null, "", address);
  else if (address !== location.pathname + location.search) history.pushState(null, "", address);
  clearTimeout(timer);
  timer = setTimeout(ask, delay);
  showQuery();
}

async function ask() {
  asking?.abort();
  const own = ++asked;
  if (asksNothing(query)) {
    answer = null;
    byId("busy").hidden = true;
    return showAnswer();
  }
  const picture = query.picture ? pictures.get(query.picture) : null;
  if (query.picture && !picture) {
    return showError({ message: "The picture of this link is not here any more.", hint: "Drop or paste it again." });
  }
  asking = new AbortController();
  byId("busy").hidden = false;
  gallery.classList.add("stale");
  gallery.setAttribute("aria-busy", "true");
  if (!gallery.children.length) showGhosts(gallery);
  try {
    const began = performance.now();
    const found = await search(toBody(query), picture, asking.signal);
    // An answer that a newer question has overtaken is dropped.
    if (own !== asked) return;
    answer = { ...found, took: performance.now() - began };
    showAnswer();
  } catch (error) {
    if (own !== asked || error.name === "AbortError") return;
    refuse(error);
  } finally {
    if (own === asked) byId("busy").hidden = true;
  }
}

function refuse(error) {
  if (error.code === "unauthorized") return askForToken(error);
  if (error.code === "bad_filter") {
    byId("filter-problem").textContent = `${sentence(error.message)} ${sentence(error.hint ?? "")}`;
    byId("filter-problem").hidden = false;
    filter.setAttribute("aria-invalid", "true");
    byId("status").textContent = "The filter cannot be read.";
    gallery.setAttribute("aria-busy", "false");
    if (gallery.querySelector(".ghost")) gallery.replaceChildren();
    return;
  }
  if (error.retryAfter) {
    byId("status").textContent = "The server is busy; asking again …";
    clearTimeout(timer);
    timer = setTimeout(ask, 1000 * error.retryAfter);
    return;
  }
  showError(error);
}

// --- showing ---

function showState(name) {
  for (const state of ["start", "nothing", "empty", "error"]) byId(`state-${state}`).hidden = state !== name;
}

function showError(error) {
  byId("error-title").textContent = error.code === "not_found" ? "That item is not here" : "That did not work";
  byId("error-text").textContent = sentence(error.message);
  byId("error-hint").textContent = sentence(error.hint ?? "");
  byId("status").textContent = "";
  gallery.replaceChildren();
  byId("more").hidden = true;
  showState("error");
}

function showAnswer() {
  gallery.classList.remove("stale");
  gallery.setAttribute("aria-busy", "false");
  filter.removeAttribute("aria-invalid");
  byId("filter-problem").hidden = true;
  byId("more").hidden = true;
  if (!answer) {
    gallery.replaceChildren();
    byId("status").textContent = "";
    return showState("start");
  }
  byId("status").textContent = summary();
  if (!answer.hits.length) {
    gallery.replaceChildren();
    byId("empty-clear").hidden = !query.filter.trim();
    byId("empty-text").textContent = query.filter.trim()
      ? "The filter leaves nothing to search in." : "There is nothing to search in.";
    return showState("empty");
  }
  if (answer.nothing_here && !showsNearest) {
    gallery.replaceChildren();
    byId("nothing-text").textContent = typeof answer.p_nothing === "number"
      ? `Were questions with and without an answer equally frequent, no item would answer this with a probability of ${percent(answer.p_nothing).replace(">", "above").replace("<", "below")}.`
      : "No item here answers this.";
    return showState("nothing");
  }
  showState("");
  showHits(gallery, answer, { open, like: offers("like") ? like : null });
  byId("more").hidden = answer.hits.length < query.top || query.top >= 1000;
  byId("version").textContent = `index ${answer.version}`;
  showDetail();
}

function summary() {
  const n = answer.hits.length;
  const isHidden = answer.nothing_here && !showsNearest;
  const parts = isHidden ? [] : [`${number(n)} ${n === 1 ? "hit" : "hits"}`];
  if (query.coverage && !isHidden) {
    const inside = answer.hits.filter((hit) => hit.in_answer === true).length;
    parts.push(`${number(inside)} in the answer set`);
  }
  if (answer.nothing_here) parts.unshift("Nothing here matches");
  if (!answer.exact) parts.push("approximate search");
  parts.push(`${Math.max(1, Math.round(answer.took))} ms`);
  return parts.join(" · ");
}

/** Puts the query into the form. */
function showQuery() {
  if (text.value !== query.text && offersText()) text.value = query.text;
  if (filter.value !== query.filter) filter.value = query.filter;
  document.querySelector(`input[name="of"][value="${query.of}"]`).checked = true;
  coverage.value = String(COVERAGES.indexOf(query.coverage));
  const share = query.coverage ? `${Math.round(100 * query.coverage)} % coverage` : "all hits";
  byId("coverage-text").textContent = share;
  coverage.setAttribute("aria-valuetext", share);
  const isAsked = Boolean(query.like || query.picture);
  byId("chip").hidden = !isAsked;
  text.placeholder = offersText() ? (isAsked ? "or describe a picture" : "Describe a picture") : "Type the id of an item";
  if (isAsked) showChip();
  const asks = query.like ? "More like this" : query.picture ? "By a picture" : query.text;
  document.title = `${asks || "Search"} – truepair`;
}

function showChip() {
  const image = byId("chip-picture");
  const key = query.like || query.picture;
  byId("chip-text").textContent = query.like ? `like ${query.like}` : "your picture";
  if (image.dataset.key === key) return;
  image.dataset.key = key;
  image.hidden = true;
  image.removeAttribute("src");
  image.onload = () => { image.hidden = false; };
  if (query.like) showPicture(image, query.like, 96, described?.version ?? "");
  else if (pictures.has(key)) image.src = URL.createObjectURL(pictures.get(key));
}

/** Unless the index says otherwise, words are understood. */
const offersText = () => !described || offers("text");
const offers = (kind) => described?.queries.includes(kind) ?? false;

function showDescription() {
  byId("name").textContent = described.name;
  const counts = [];
  if (described.images) counts.push(`${number(described.images)} images`);
  if (described.captions) counts.push(`${number(described.captions)} captions`);
  byId("name").append(...counts.map((count) => element("span", "split", count)));
  byId("version").textContent = `index ${described.version}`;
  byId("start-text").textContent = offersText()
    ? `Pictures appear while you type.${offers("image") ? " You can also drop or paste a picture anywhere on this page." : ""}`
    : `This index understands no words.${offers("image") ? " Drop or paste a picture, or type" : " Type"} the id of an item and press Enter.`;
  byId("pick").hidden = !offers("image");
  byId("sides").hidden = !described.images || !described.captions;
  byId("coverage-part").hidden = !described.coverage;
  byId("filter-part").hidden = !described.columns.length;
  const example = described.columns.find((column) => column.examples.length);
  if (example) filter.placeholder = comparison(example);
  byId("columns").replaceChildren(...described.columns.slice(0, 8).map((column) => {
    const add = element("button", "", column.name);
    add.type = "button";
    add.title = `${column.kind}: ${comparison(column)}`;
    add.addEventListener("click", () => {
      const before = filter.value.trim();
      filter.value = (before ? `${before} and ` : "") + comparison(column);
      filter.focus();
      // Without an example there is nothing to ask yet: the cursor stands where the value goes.
      if (filter.value.endsWith('""')) filter.setSelectionRange(filter.value.length - 1, filter.value.length - 1);
      else take({ filter: filter.value });
    });
    const entry = element("li");
    entry.append(add);
    return entry;
  }));
}

function comparison(column) {
  const value = column.examples[0];
  if (column.kind === "number") return `${column.name} > ${value ?? 0}`;
  if (column.kind === "boolean") return `${column.name} = ${value ?? "true"}`;
  return `${column.name} = "${value ?? ""}"`;
}

// --- acting ---

/** Opens a hit as a step of the history: Back closes it. */
function open(hit) {
  query = { ...query, show: hit.id };
  history.pushState({ isOpened: true }, "", toAddress(query));
  showDetail();
}

/** Shows the hit that the address names, or none. */
function showDetail() {
  const hit = query.show && answer?.hits.find((one) => one.id === query.show);
  if (hit) openDetail(answer, hit, { of: query.of, like: offers("like") ? like : null, shown, closed });
  else closeDetail();
}

function shown(hit) {
  query = { ...query, show: hit.id };
  history.replaceState(history.state, "", toAddress(query));
}

function closed(place) {
  // Another query or Back has closed it.
  if (!query.show) return;
  cards()[place]?.focus();
  query = { ...query, show: "" };
  if (history.state?.isOpened) history.back();
  else history.replaceState(null, "", toAddress(query));
}

function like(hit) {
  take({ text: "", picture: "", like: hit.id, top: TOP });
  scrollTo({ top: 0 });
  text.focus({ preventScroll: true });
}

function takePicture(file) {
  if (!file || !offers("image")) return;
  if (!file.type.startsWith("image/")) {
    return showError({ message: `${file.name || "That"} is no picture.`, hint: "Choose a JPEG or a PNG." });
  }
  if (file.size > LARGEST_PICTURE) {
    return showError({ message: "The picture is larger than 11 MB.", hint: "Make it smaller first." });
  }
  const key = String(Date.now());
  pictures.set(key, file);
  take({ text: "", like: "", picture: key, top: TOP });
}

/** Typing: one step of the history for what is typed without a pause. */
function typed(change, delay = DEBOUNCE) {
  const now = performance.now();
  const replace = now - lastTyped < SETTLED;
  lastTyped = now;
  take({ ...change, top: TOP }, { delay, replace });
}

text.addEventListener("input", () => { if (offersText()) typed({ text: text.value, like: "", picture: "" }); });
filter.addEventListener("input", () => typed({ filter: filter.value }, FILTER_DEBOUNCE));
byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  lastTyped = 0;
  take(offersText() ? {} : { text: "", picture: "", like: text.value.trim(), top: TOP });
});
for (const side of document.querySelectorAll('input[name="of"]')) {
  side.addEventListener("change", () => take({ of: side.value, top: TOP }));
}
coverage.addEventListener("input", () => take({ coverage: COVERAGES[Number(coverage.value)] }, { delay: DEBOUNCE, replace: true }));
byId("pick").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", () => {
  takePicture(byId("file").files[0]);
  byId("file").value = "";
});
byId("chip-drop").addEventListener("click", () => {
  take({ like: "", picture: "", top: TOP });
  text.focus();
});
byId("nothing-show").addEventListener("click", () => {
  showsNearest = true;
  showAnswer();
  gallery.focus();
});
byId("empty-clear").addEventListener("click", () => take({ filter: "" }));
byId("error-again").addEventListener("click", () => (described ? ask() : begin()));
byId("more").addEventListener("click", () => take({ top: Math.min(1000, query.top * 2) }, { replace: true }));
byId("home").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  take(nothing());
  text.focus();
});
addEventListener("popstate", () => {
  const before = toAddress({ ...query, show: "" });
  query = fromAddress(location.href);
  lastTyped = 0;
  if (answer && toAddress({ ...query, show: "" }) === before) return showDetail();
  showsNearest = false;
  closeDetail();
  showQuery();
  ask();
});

// --- pictures dropped and pasted ---

const carriesFile = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => {
  if (!carriesFile(event) || !offers("image")) return;
  event.preventDefault();
  byId("drop").hidden = false;
});
addEventListener("dragleave", (event) => { if (!event.relatedTarget) byId("drop").hidden = true; });
addEventListener("drop", (event) => {
  byId("drop").hidden = true;
  if (!carriesFile(event)) return;
  event.preventDefault();
  takePicture(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
  if (!file) return;
  event.preventDefault();
  takePicture(file);
});

// --- keys ---

const cards = () => [...gallery.querySelectorAll(".open")];

/** The card that an arrow leads to: by place on the screen, because rows have as many cards as fit. */
function neighbor(from, key) {
  const all = cards();
  const at = all.indexOf(from);
  if (key === "ArrowLeft") return all[at - 1];
  if (key === "ArrowRight") return all[at + 1];
  const here = from.getBoundingClientRect();
  const isBeyond = (other) => (key === "ArrowDown" ? other.top > here.bottom : other.bottom < here.top);
  const distance = (card) => {
    const other = card.getBoundingClientRect();
    return isBeyond(other) ? Math.abs(other.top - here.top) + Math.abs(other.left - here.left) / 4 : Infinity;
  };
  const nearest = all.reduce((best, card) => (distance(card) < distance(best) ? card : best), from);
  return nearest === from ? null : nearest;
}

addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || isDetailOpen() || byId("token-dialog").open) return;
  const target = event.target;
  const isField = target instanceof HTMLInputElement;
  if (event.key === "/" && !isField) {
    text.focus();
    text.select();
  } else if (target === text && event.key === "ArrowDown") {
    cards()[0]?.focus();
  } else if (target === text && event.key === "Escape") {
    text.value = "";
    take({ text: "", like: "", picture: "" });
  } else if (target === text && event.key === "Backspace" && !text.value && !byId("chip").hidden) {
    byId("chip-drop").click();
  } else if (target.classList?.contains("open") && event.key.startsWith("Arrow")) {
    const next = neighbor(target, event.key);
    if (next) next.focus();
    else if (event.key === "ArrowUp") text.focus();
  } else if (target.classList?.contains("open") && event.key === "l") {
    target.closest(".card").querySelector(".under button")?.click();
  } else if (!isField && event.key === "Escape") {
    text.focus();
    text.select();
  } else {
    return;
  }
  event.preventDefault();
});

// --- the token, and the beginning ---

function askForToken(error) {
  byId("token-problem").textContent = hasToken() ? sentence(error.message) : "";
  if (!byId("token-dialog").open) byId("token-dialog").showModal();
}

byId("token-dialog").addEventListener("cancel", (event) => event.preventDefault());
byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(byId("token").value.trim());
  byId("token-dialog").close();
  begin();
});

async function begin() {
  showQuery();
  try {
    described = await describe();
  } catch (error) {
    return error.code === "unauthorized" ? askForToken(error) : showError(error);
  }
  showDescription();
  byId("chip-picture").dataset.key = "";
  showQuery();
  ask();
}

begin();
