// Hits on the page. Every text of the data goes in by textContent, never as markup.

import { showPicture } from "./server.js";

export function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A probability in words: no hit is certain, and none impossible. */
export function percent(p) {
  if (p > 0.995) return "> 99 %";
  if (p < 0.005) return "< 1 %";
  return `${Math.round(100 * p)} %`;
}

/** A message of the server as a sentence. */
export function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return !whole || /[.!?…]$/.test(whole) ? whole : `${whole}.`;
}

export const number = (n) => n.toLocaleString("en");

/** The probability of a hit as a number and a bar, or its score where there is no calibration. */
export function probability(hit) {
  const parts = document.createDocumentFragment();
  const line = element("span", "probability");
  const known = typeof hit.p_relevant === "number";
  line.append(element("strong", "", known ? percent(hit.p_relevant) : hit.score.toFixed(3)));
  line.append(element("span", "", known ? "relevant" : "score"));
  parts.append(line);
  if (known) {
    const meter = element("span", "meter");
    const fill = element("span");
    fill.style.width = `${(100 * Math.min(1, Math.max(0, hit.p_relevant))).toFixed(1)}%`;
    meter.append(fill);
    parts.append(meter);
  }
  return parts;
}

export function picture(hit, size, version, alt) {
  const frame = element("span", "picture");
  const none = () => frame.replaceChildren(element("span", "no-picture", "no picture"));
  if (!hit.has_picture) {
    none();
    return frame;
  }
  const image = element("img");
  image.alt = alt;
  image.loading = "lazy";
  image.decoding = "async";
  image.addEventListener("error", none, { once: true });
  frame.append(image);
  showPicture(image, hit.id, size, version);
  return frame;
}

function card(hit, answer, act) {
  const made = element("li", hit.in_answer === false ? "card beyond" : "card");
  made.dataset.hit = keyOf(hit, answer);
  const open = element("button", "open");
  open.type = "button";
  if (hit.has_picture) open.append(picture(hit, 480, answer.version, ""));
  const words = element("span", "words");
  words.append(probability(hit));
  const isEmpty = !hit.text.trim();
  const caption = element("span", isEmpty ? "caption empty" : "caption", isEmpty ? "no caption" : hit.text);
  caption.dir = "auto";
  words.append(caption);
  const why = hit.why.filter((text) => text.trim() && text !== hit.text).slice(0, 2);
  if (why.length) words.append(nearest(why));
  open.append(words);
  open.addEventListener("click", () => act.open(hit));
  const under = element("div", "under");
  const id = element("bdi", "id", hit.id);
  id.title = hit.id;
  under.append(id);
  if (act.like) {
    const like = element("button", "", "More like this");
    like.type = "button";
    like.setAttribute("aria-label", `More like ${hit.text || hit.id}`);
    like.addEventListener("click", () => act.like(hit));
    under.append(like);
  }
  made.append(open, under);
  return made;
}

function nearest(captions) {
  const why = element("span", "why");
  why.append(element("b", "", "Why: "), captions.join(" · "));
  return why;
}

const keyOf = (hit, answer) => JSON.stringify([answer.version, hit]);

/** Fills `gallery` with the hits of an answer; `act` has `open` and, where it is offered, `like`. */
export function showHits(gallery, answer, act) {
  const cards = [];
  // What stays as it is keeps its place on the page, so that its picture does not blink.
  const there = new Map([...gallery.children].map((made) => [made.dataset.hit, made]));
  const inside = answer.hits.filter((hit) => hit.in_answer === true).length;
  answer.hits.forEach((hit, n) => {
    if (n === inside && hit.in_answer === false) {
      const text = inside ? "Beyond the answer set" : "The answer set is empty; these are the nearest";
      cards.push(element("li", "divider", text));
    }
    cards.push(there.get(keyOf(hit, answer)) ?? card(hit, answer, act));
  });
  gallery.replaceChildren(...cards);
}

/** Places of hits to come. */
export function showGhosts(gallery) {
  const ghosts = Array.from({ length: 8 }, () => {
    const ghost = element("li", "ghost");
    ghost.setAttribute("aria-hidden", "true");
    return ghost;
  });
  gallery.replaceChildren(...ghosts);
}
