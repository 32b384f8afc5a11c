// The API's description for people, out of the one for programs.

const byId = (id) => document.getElementById(id);

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** What a schema is, in a few words, with links to the objects it names. */
function kind(schema) {
  const said = element("span", "kind");
  const say = (part) => {
    if (!part) return said.append("anything");
    if (part.$ref) {
      const name = part.$ref.split("/").pop();
      const link = element("a", "", name);
      link.href = `#${name}`;
      return said.append(link);
    }
    const choices = part.oneOf ?? part.anyOf ?? part.allOf;
    if (choices) return choices.forEach((choice, n) => { if (n) said.append(" or "); say(choice); });
    if (part.enum) return said.append(part.enum.map((value) => JSON.stringify(value)).join(" or "));
    const types = [part.type ?? "object"].flat();
    if (types.includes("array")) { said.append("list of "); return say(part.items); }
    return said.append(types.join(" or "));
  };
  say(schema);
  return said;
}

function table(rows) {
  const made = element("table");
  for (const [name, schema, about] of rows) {
    const row = element("tr");
    const cells = [element("td"), element("td"), element("td", "", about ?? "")];
    cells[0].append(element("code", "", name));
    cells[1].append(kind(schema));
    row.append(...cells);
    made.append(row);
  }
  return made;
}

function part(inside, title, content) {
  inside.append(element("h3", "", title), content);
}

function route(path, method, operation) {
  const made = element("details");
  const summary = element("summary");
  summary.append(element("span", `method ${method}`, method.toUpperCase()), element("code", "", path));
  summary.append(element("span", "about", operation.summary ?? operation.description ?? ""));
  const inside = element("div", "inside");
  if (operation.parameters?.length) {
    part(inside, "Parameters", table(operation.parameters.map((one) => [one.name, one.schema, one.description])));
  }
  const bodies = Object.entries(operation.requestBody?.content ?? {});
  if (bodies.length) part(inside, "Body", table(bodies.map(([type, body]) => [type, body.schema, ""])));
  const responses = Object.entries(operation.responses ?? {});
  part(inside, "Answers", table(responses.map(([status, response]) => {
    const body = Object.values(response.content ?? {})[0];
    return [status, body?.schema, response.description];
  })));
  part(inside, "Try it", element("pre", "", example(path, method, bodies)));
  made.append(summary, inside);
  return made;
}

/** Bodies that a reader may begin with, by the end of the path. */
const BODIES = {
  search: '{"text": "a dog on a beach", "top": 5}',
  embed: '{"text": "a dog on a beach"}',
  score: '{"image_id": "ID", "caption": "a dog on a beach"}',
};

function example(path, method, bodies) {
  const address = `${location.origin}${path.replace("{id}", "ID")}`;
  if (method === "get") return `curl ${address}`;
  const type = bodies[0]?.[0] ?? "application/json";
  const body = BODIES[path.split("/")[2]] ?? "{}";
  return `curl ${address} -H 'Content-Type: ${type}' -d '${body}'`;
}

function showRoutes(api) {
  for (const tag of api.tags ?? []) {
    const group = element("section");
    group.append(element("h2", "", tag.name), element("p", "", tag.description));
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (operation.tags?.includes(tag.name)) group.append(route(path, method, operation));
      }
    }
    byId("groups").append(group);
  }
}

function showSchemas(api) {
  for (const [name, schema] of Object.entries(api.components?.schemas ?? {})) {
    const made = element("details");
    made.id = name;
    const summary = element("summary");
    const own = schema.properties ? schema : schema.allOf?.find((one) => one.properties) ?? schema;
    summary.append(element("code", "", name), element("span", "about", own.description ?? ""));
    const inside = element("div", "inside");
    const fields = Object.entries(own.properties ?? {});
    inside.append(fields.length ? table(fields.map(([key, value]) => [key, value, value.description])) : kind(schema));
    made.append(summary, inside);
    byId("schemas").append(made);
  }
}

const openTarget = () => {
  const target = byId(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
};
addEventListener("hashchange", openTarget);

try {
  const api = await (await fetch("/openapi.json")).json();
  showRoutes(api);
  showSchemas(api);
  openTarget();
} catch {
  byId("problem").textContent = "The description could not be read.";
  byId("problem").hidden = false;
}
