// Requests to the server, with the token when it asks for one. Every failure is an Error with code, message and hint.

const TOKEN = "truepair-token";
let token = null;
try { token = sessionStorage.getItem(TOKEN); } catch { /* storage is refused: asked for once a page */ }

export const hasToken = () => token !== null;

export function setToken(value) {
  token = value;
  try { sessionStorage.setItem(TOKEN, value); } catch { /* as above */ }
}

export class ServerError extends Error {
  constructor(code, message, hint, retryAfter = 0) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.retryAfter = retryAfter;
  }
}

async function request(path, options = {}) {
  const headers = { ...options.headers };
  if (token !== null) headers.authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("unreachable", "The server does not answer.", "See whether it still runs.");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  const { code = "failed", message = `The server answered ${response.status}.`, hint = "" } = body?.error ?? {};
  throw new ServerError(code, message, hint, Number(response.headers.get("retry-after")) || 0);
}

export const describe = async () => (await request("/v1/describe")).json();

export async function search(query, picture, signal) {
  if (!picture) {
    const headers = { "content-type": "application/json" };
    const options = { method: "POST", headers, body: JSON.stringify(query), signal };
    return (await request("/v1/search", options)).json();
  }
  const form = new FormData();
  for (const [name, value] of Object.entries(query)) form.append(name, value);
  form.append("image", picture, "picture");
  return (await request("/v1/search", { method: "POST", body: form, signal })).json();
}

export const item = async (id, of) =>
  (await request(`/v1/items/${encodeURIComponent(id)}?of=${of}`)).json();

/** Shows an item's picture in `image`. With a token the bytes are fetched, because an address cannot carry one. */
export async function showPicture(image, id, size, version) {
  const path = `/v1/items/${encodeURIComponent(id)}/image?size=${size}&version=${encodeURIComponent(version)}`;
  if (token === null) {
    image.src = path;
    return;
  }
  try {
    const address = URL.createObjectURL(await (await request(path)).blob());
    const release = () => URL.revokeObjectURL(address);
    image.addEventListener("load", release, { once: true });
    image.addEventListener("error", release, { once: true });
    image.src = address;
  } catch {
    image.dispatchEvent(new Event("error"));
  }
}
