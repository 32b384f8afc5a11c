// One hit, large: its picture, why it was found, and its columns.

import { item, showPicture } from "./server.js";
import { element, picture, probability } from "./results.js";

const byId = (id) => document.getElementById(id);
const dialog = byId("detail");
let hits = [];
let place = 0;
let around = null;

/** Opens `hit` of an answer; `act.like` looks for more of it, `act.shown` and `act.closed` are told where the reader is. */
export function openDetail(answer, hit, act) {
  around = { answer, act };
  hits = answer.hits;
  show(hits.findIndex((one) => one.id === hit.id));
  if (dialog.open) return;
  dialog.showModal();
  byId("detail-close").focus();
}

export function closeDetail() {
  if (dialog.open) dialog.close();
}

export const isDetailOpen = () => dialog.open;

function show(next) {
  place = next;
  const hit = hits[place];
  const { answer, act } = around;
  const frame = byId("detail-picture");
  frame.hidden = !hit.has_picture;
  frame.replaceChildren();
  if (hit.has_picture) showLarge(frame, hit, answer.version);
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

function step(by) {
  if (!hits[place + by]) return;
  show(place + by);
  around.act.shown(hits[place]);
}

/** The thumbnail that is there already, until the large picture is. */
function showLarge(frame, hit, version) {
  frame.replaceChildren(...picture(hit, 480, version, hit.text).childNodes);
  const large = element("img");
  large.alt = hit.text;
  large.addEventListener("load", () => { if (hits[place] === hit) frame.replaceChildren(large); }, { once: true });
  showPicture(large, hit.id, 1280, version);
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
byId("detail-previous").addEventListener("click", () => step(-1));
byId("detail-next").addEventListener("click", () => step(1));
byId("detail-like").addEventListener("click", () => {
  dialog.close();
  around.act.like(hits[place]);
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => around?.act.closed(place));
dialog.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "ArrowLeft" || event.key === "ArrowUp") step(-1);
  else if (event.key === "ArrowRight" || event.key === "ArrowDown") step(1);
  else if (event.key === "l" && around.act.like) byId("detail-like").click();
  else return;
  event.preventDefault();
});
