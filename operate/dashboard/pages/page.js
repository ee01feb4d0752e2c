import { ask, element, find, tell, withToken } from "./common.js";
import { draw } from "./charts.js";

const EVERY = 2000;
const OUTCOMES = ["answered", "refused", "limited", "mistaken", "failed"];
const TITLES = { mistaken: "other 4xx" };
const titled = name => TITLES[name] ?? name;
const TIMES = [["p50", "p50"], ["p95", "p95"], ["p99", "p99"]];
const COLUMNS = {
  clients: [["client", "client"], ["in all", "requests", whole], ["a second", "rate"], ...OUTCOMES.map(name => [titled(name), name])],
  routes: [["route", "route"], ["in all", "requests", whole], ["a second", "rate"], ...TIMES],
  generations: [["generation", "generation"], ["in all", "requests", whole], ["a second", "rate"], ["failed a second", "failed"], ...TIMES],
  models: [["model", "model"], ["version", "version"], ["in all", "requests", whole], ["a second", "rate"], ["failed a second", "failed"],
    ["queue", "queue"], ["computation", "compute"], ["batch", "batch"], ["waiting", "waiting", whole]],
};

function whole(value) {
  return Math.round(value).toLocaleString("en");
}

function written(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  return value >= 100 ? whole(value) : value.toFixed(value >= 10 ? 1 : 2);
}

function table(name, rows) {
  const columns = COLUMNS[name];
  const cells = columns.map(([title], index) => element("th", index ? { scope: "col", class: "number" } : { scope: "col" }, title));
  const lines = rows.map(row => element("tr", {}, ...columns.map(([, key, form], index) => {
    const value = row[key], text = typeof value === "string" ? value : (form ?? written)(value);
    return index ? element("td", { class: "number" }, text) : element("th", { scope: "row" }, text);
  })));
  find(name).replaceChildren(element("thead", {}, element("tr", {}, ...cells)), element("tbody", {}, ...lines));
}

function tiles(shown) {
  const values = {
    "requests a second": written(OUTCOMES.reduce((sum, name) => sum + shown.requests[name], 0)),
    "failed": written(shown.requests.failed),
    "refused (401, 403)": written(shown.requests.refused),
    "limited (429)": written(shown.requests.limited),
    "95 of 100 within, ms": written(shown.latency.p95),
    "under way": whole(shown.active),
  };
  const pairs = Object.entries(values).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  find("tiles").replaceChildren(...pairs);
}

function charts(points) {
  const times = points.map(point => point.time);
  const over = value => points.map(value);
  draw(find("requests"), times, OUTCOMES.map(name => ({ name: titled(name), points: over(point => point.requests[name]) })), written);
  draw(find("latency"), times, TIMES.map(([name]) => ({ name, points: over(point => point.latency[name]) })), written);
  const newest = points.at(-1)?.models ?? [];
  // Five lines can be told apart: those of the models that were asked most.
  const models = [...newest].sort((one, other) => other.requests - one.requests).slice(0, 5);
  for (const key of ["queue", "batch"]) {
    find(key).hidden = !models.length;
    if (!models.length) continue;
    draw(find(key), times, models.map(model => ({
      name: `${model.model} ${model.version}`,
      points: over(point => point.models.find(each => each.model === model.model && each.version === model.version)?.[key] ?? null),
    })), written);
  }
}

function show(shown) {
  tell(shown.problem);
  find("shares").textContent = shown.shares.length ? shown.shares.join("; ") : `Generation ${shown.serving} has all of the traffic.`;
  const statuses = Object.entries(shown.statuses).map(([status, rate]) => `${status} ${written(rate)}`);
  find("statuses").textContent = statuses.length ? `By status, a second: ${statuses.join(" · ")}` : "";
  tiles(shown);
  charts(shown.points);
  for (const name of Object.keys(COLUMNS)) table(name, shown[name]);
  find("triton").hidden = !shown.models.length;
}

async function watch() {
  if (!document.hidden) {
    try {
      show(await ask("/figures"));
    } catch (error) {
      tell(error.message);
    }
  }
  setTimeout(watch, EVERY);
}

let offered = { golden: [], clients: [] };
const chosen = () => offered.golden.find(each => each.name === find("golden").value);

function fill() {
  const golden = chosen();
  if (!golden) {
    find("body").disabled = false;
    find("body").placeholder = "";
    return;
  }
  find("method").value = golden.method;
  find("path").value = golden.path;
  find("type").value = golden.contentType;
  find("body").value = golden.body ?? "";
  find("body").disabled = golden.body === null;
  find("body").placeholder = golden.body === null ? `${golden.bytes.toLocaleString("en")} bytes, sent as they are` : "";
}

// A golden request is sent as it is while nobody changes it; changed, it is one's own.
function entered() {
  const golden = chosen();
  const own = { method: find("method").value, path: find("path").value, contentType: find("type").value, body: find("body").value };
  const same = golden && ["method", "path", "contentType"].every(key => own[key] === golden[key]) && own.body === (golden.body ?? "");
  return { ...(same ? { golden: golden.name } : own), client: find("client").value };
}

async function send(event) {
  event.preventDefault();
  find("send").disabled = true;
  find("answer").hidden = false;
  find("outcome").textContent = "…";
  find("outcome").className = "";
  find("headers").replaceChildren();
  find("received").textContent = "";
  try {
    const answer = await ask("/ask", entered());
    const judged = answer.wrong === null ? [] : [answer.wrong.length ? "not as expected" : "as expected"];
    const size = `${answer.bytes.toLocaleString("en")} bytes`;
    find("outcome").textContent = [`${answer.status} ${answer.reason}`, `${written(answer.milliseconds)} ms`, size, ...judged].join(" · ");
    find("outcome").className = answer.status < 400 && !answer.wrong?.length ? "good" : "bad";
    const pairs = Object.entries(answer.headers).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
    find("headers").replaceChildren(...pairs);
    find("received").textContent = [...(answer.wrong ?? []), answer.body].join("\n");
  } catch (error) {
    find("outcome").textContent = error.message;
    find("outcome").className = "bad";
  }
  find("send").disabled = false;
}

async function offer() {
  try {
    offered = await ask("/requests");
  } catch (error) {
    tell(error.message);
    return;
  }
  document.title = `${offered.service}: dashboard`;
  find("service").textContent = offered.service;
  find("golden").replaceChildren(
    ...offered.golden.map(golden => element("option", { value: golden.name }, `golden: ${golden.name}`)),
    element("option", { value: "" }, "my own"));
  find("client").replaceChildren(...offered.clients.map(name => element("option", {}, name)));
  find("as").hidden = !offered.clients.length;
  find("api").hidden = !offered.described;
  find("api").href = withToken("/api");
  fill();
}

find("golden").addEventListener("change", fill);
find("form").addEventListener("submit", send);
await offer();
watch();
