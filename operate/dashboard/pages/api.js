// Swagger UI over the description of the service. It sends requests as the form does, so the browser has no key.
import { ask, element, find, tell, withToken } from "./common.js";

const WITHOUT_BODY = [204, 205, 304];
const JSON_TYPE = /^application\/([\w.-]+\+)?json\b/;
const OWN_HEADERS = ["accept", "content-type"];

// Swagger UI's client calls this in place of fetch.
async function send(url, request) {
  const headers = new Headers(request.headers);
  const others = [...headers.keys()].filter(name => !OWN_HEADERS.includes(name));
  if (others.length) throw new Error(`the dashboard sends no header ${others.join(", ")}; send this request with curl`);
  if (request.body !== undefined && typeof request.body !== "string") {
    throw new Error("the dashboard sends text alone; send a file with curl");
  }
  const { pathname, search } = new URL(url);
  const answer = await ask("/ask", {
    method: request.method,
    path: pathname + search,
    contentType: headers.get("content-type") ?? "",
    body: request.body ?? "",
    client: find("client").value,
  });
  // The dashboard gives an answer as text for people, which is no picture and no file.
  const type = JSON_TYPE.test(answer.headers["content-type"]) ? "application/json" : "text/plain";
  return new Response(WITHOUT_BODY.includes(answer.status) ? null : answer.body, {
    status: answer.status,
    statusText: answer.reason,
    headers: { ...answer.headers, "content-type": type },
  });
}

function show(spec) {
  SwaggerUIBundle({
    domNode: find("swagger"),
    spec,
    plugins: [{ wrapComponents: { authorizeOperationBtn: () => () => null } }],
    requestInterceptor: request => Object.assign(request, { userFetch: send }),
    defaultModelsExpandDepth: 0,
    tryItOutEnabled: true,
    validatorUrl: null,
  });
}

find("back").href = withToken("/");
const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();
try {
  const [description, offered] = await Promise.all([ask("/description"), ask("/requests")]);
  document.title = `${offered.service}: /score`;
  find("client").replaceChildren(...offered.clients.map(name => element("option", {}, name)));
  find("as").hidden = !offered.clients.length;
  show(description);
} catch (error) {
  tell(error.message);
}
