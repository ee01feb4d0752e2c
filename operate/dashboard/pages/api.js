// The description of the service, an OpenAPI document of version 3, for people.
import { ask, element, find, tell, withToken } from "./common.js";

let root = {};
const MOST_DEPTH = 20;

// What a reference stands for; a schema that contains itself ends at some depth.
function resolved(schema, depth = 0) {
  if (Array.isArray(schema)) return schema.map(each => resolved(each, depth + 1));
  if (schema === null || typeof schema !== "object") return schema;
  if (depth > MOST_DEPTH) return "…";
  if (typeof schema.$ref === "string" && schema.$ref.startsWith("#/")) {
    const found = schema.$ref.slice(2).split("/").reduce((at, name) => at?.[name.replaceAll("~1", "/").replaceAll("~0", "~")], root);
    return resolved(found ?? {}, depth + 1);
  }
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, resolved(value, depth + 1)]));
}

const pretty = value => element("pre", {}, JSON.stringify(value, null, 2));

function content(title, described) {
  const parts = [element("h4", {}, title)];
  if (described?.description) parts.push(element("p", {}, described.description));
  for (const [type, media] of Object.entries(described?.content ?? {})) {
    const { example, ...schema } = resolved(media.schema ?? {});
    const sample = media.example ?? example;
    parts.push(element("p", { class: "note" }, type), pretty(schema));
    if (sample !== undefined) parts.push(element("p", { class: "note" }, "for example"), pretty(sample));
  }
  return parts;
}

function operation(path, method, described) {
  const parts = [
    element("h2", {}, element("span", { class: "method" }, method), ` ${path}`),
    element("p", {}, described.description ?? described.summary ?? ""),
  ];
  for (const parameter of described.parameters ?? []) {
    parts.push(element("p", {}, element("code", {}, parameter.name), ` (in the ${parameter.in}) `, parameter.description ?? ""), pretty(resolved(parameter.schema ?? {})));
  }
  if (described.requestBody) parts.push(...content("Request", resolved(described.requestBody)));
  for (const [status, answer] of Object.entries(described.responses ?? {})) parts.push(...content(`Answer ${status}`, resolved(answer)));
  return element("section", {}, ...parts);
}

find("back").href = withToken("/");
try {
  root = await ask("/description");
  document.title = find("title").textContent = root.info?.title ?? "/score";
  find("about").textContent = root.info?.description ?? "";
  const paths = Object.entries(root.paths ?? {}).sort(([one], [other]) => (other === "/score") - (one === "/score"));
  find("operations").replaceChildren(...paths.flatMap(([path, methods]) =>
    Object.entries(methods).filter(([, each]) => each && typeof each === "object" && !Array.isArray(each))
      .map(([method, described]) => operation(path, method, described))));
  find("document").textContent = JSON.stringify(root, null, 2);
} catch (error) {
  tell(error.message);
}
