// What both pages need: the token, questions to the server, elements. Texts go into the page as texts alone.

const token = location.hash.slice(1);

export const withToken = path => `${path}#${token}`;

export async function ask(path, sent) {
  const headers = { "X-Dashboard-Token": token };
  const options = sent === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(sent) };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("the dashboard ended; make dashboard starts it");
  }
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error);
  return content;
}

export const find = id => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function tell(problem) {
  find("problem").textContent = problem;
  find("problem").hidden = !problem;
}
