// What is asked, as the address of the page says it: a link leads to the same hits, and Back to the ones before.

/** Coverages that the slider offers; 0 is none. */
export const COVERAGES = [0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99];
export const TOP = 24;
const MOST = 1000;

/** Nothing asked. A picture is named by a number, its bytes stay in the page; `show` is the hit that is shown large. */
export const nothing = () => ({ text: "", like: "", picture: "", of: "images", filter: "", coverage: 0, top: TOP, show: "" });

export function fromAddress(address) {
  const given = new URL(address).searchParams;
  const query = nothing();
  query.text = given.get("q") ?? "";
  query.like = given.get("like") ?? "";
  query.picture = given.get("picture") ?? "";
  query.of = given.get("of") === "captions" ? "captions" : "images";
  query.filter = given.get("where") ?? "";
  const coverage = Number(given.get("coverage"));
  query.coverage = COVERAGES.includes(coverage) ? coverage : 0;
  const top = Math.floor(Number(given.get("top")));
  if (top >= 1) query.top = Math.min(top, MOST);
  query.show = given.get("show") ?? "";
  return query;
}

export function toAddress(query) {
  const given = new URLSearchParams();
  if (query.text) given.set("q", query.text);
  if (query.like) given.set("like", query.like);
  if (query.picture) given.set("picture", query.picture);
  if (query.of !== "images") given.set("of", query.of);
  if (query.filter) given.set("where", query.filter);
  if (query.coverage) given.set("coverage", String(query.coverage));
  if (query.top !== TOP) given.set("top", String(query.top));
  if (query.show) given.set("show", query.show);
  const text = given.toString();
  return text ? `/?${text}` : "/";
}

export const asksNothing = (query) => !query.text.trim() && !query.like && !query.picture;

/** The query as the API takes it; a picture goes beside it. */
export function toBody(query) {
  const body = { of: query.of, top: query.top };
  if (query.like) body.like = query.like;
  else if (!query.picture) body.text = query.text;
  if (query.filter.trim()) body.filter = query.filter;
  if (query.coverage) body.coverage = query.coverage;
  return body;
}
