// One hit, large: its picture, why it was found, and its columns.

import { item } from "./server.js";
import { element, picture, probability } from "./results.js";

const byId = (id) => document.getElementById(id);
const dialog = byId("detail");
let hits = [];
let place = 0;
let around = null;

/** Opens `hit` of an answer; `act.like` looks for more of it, `act.closed` is told which hit was shown last. */
export function openDetail(answer, hit, act) {
  around = { answer, act };
  hits = answer.hits;
  show(hits.indexOf(hit));
  if (!dialog.open) dialog.showModal();
  byId("detail-close").focus();
}

export const isDetailOpen = () => dialog.open;

function show(next) {
  if (next < 0 || next >= hits.length) return;
  place = next;
  const hit = hits[place];
  const { answer, act } = around;
  const frame = byId("detail-picture");
  frame.hidden = !hit.has_picture;
  if (hit.has_picture) frame.replaceChildren(...picture(hit, 1280, answer.version, hit.text).childNodes);
  byId("detail-place").textContent = `Hit ${hit.rank} of ${hits.length}`;
  byId("detail-previous").disabled = place === 0;
  byId("detail-next").disabled = place === hits.length - 1;
  byId("detail-probability").replaceChildren(probability(hit));
  byId("detail-text").textContent = hit.text.trim() ? hit.text : "no caption";
  byId("detail-like").hidden = !act.like;
  showFacts(hit, hit.why, hit.columns);
  // The item knows more than the hit; what was shown stays when it cannot be had.
  item(hit.id, act.of).then((view) => {
    if (hits[place] === hit) showFacts(hit, view.why.length ? view.why : hit.why, view.columns);
  }).catch(() => {});
}

function showFacts(hit, why, columns) {
  const nearest = byId("detail-why");
  nearest.replaceChildren();
  if (why.length) {
    const list = element("ul");
    list.append(...why.map((text) => element("li", "", text)));
    nearest.append(element("h3", "", "Why: the nearest captions"), list);
  }
  const facts = [["id", hit.id], ["score", hit.score.toFixed(4)], ...Object.entries(columns)];
  byId("detail-columns").replaceChildren(...facts.flatMap(([name, value]) => {
    const text = element("dd", name === "id" ? "id" : "", String(value));
    text.dir = "auto";
    return [element("dt", "", name), text];
  }));
}

byId("detail-close").addEventListener("click", () => dialog.close());
byId("detail-previous").addEventListener("click", () => show(place - 1));
byId("detail-next").addEventListener("click", () => show(place + 1));
byId("detail-like").addEventListener("click", () => {
  dialog.close();
  around.act.like(hits[place]);
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => around?.act.closed(place));
dialog.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "ArrowLeft" || event.key === "ArrowUp") show(place - 1);
  else if (event.key === "ArrowRight" || event.key === "ArrowDown") show(place + 1);
  else if (event.key === "l" && around.act.like) byId("detail-like").click();
  else return;
  event.preventDefault();
});
