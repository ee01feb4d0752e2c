// A chart of lines over time, as SVG of the size that it has on the screen.

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 44, BOTTOM = 18, TOP = 8, RIGHT = 6;

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// The least of 1, 2, 5, 10, ... that is not below a number.
function rounded(most) {
  if (!(most > 0)) return 1;
  const decade = 10 ** Math.floor(Math.log10(most));
  return decade * [1, 2, 5, 10].find(step => step * decade >= most * 0.999999);
}

// lines: [{name, points: [number or null]}], one point for each of times (seconds). A gap stays a gap.
export function draw(figure, times, lines, written) {
  const place = figure.querySelector(".chart");
  const width = Math.max(place.clientWidth, 200), height = 170;
  const most = rounded(Math.max(0, ...lines.flatMap(line => line.points.filter(point => point !== null))));
  const end = times.at(-1) ?? 0, begin = Math.min(times[0] ?? 0, end - 60);
  const x = time => LEFT + (width - LEFT - RIGHT) * (time - begin) / (end - begin || 1);
  const y = value => height - BOTTOM - (height - BOTTOM - TOP) * value / most;
  const label = figure.querySelector("h2").textContent;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
  for (const part of [0, 0.5, 1]) {
    const at = y(part * most);
    svg.append(shape("line", { x1: LEFT, x2: width - RIGHT, y1: at, y2: at }));
    svg.append(shape("text", { x: LEFT - 6, y: at + 4, "text-anchor": "end" }, written(part * most)));
  }
  svg.append(shape("text", { x: LEFT, y: height - 3 }, `${Math.round(end - begin)} s ago`));
  svg.append(shape("text", { x: width - RIGHT, y: height - 3, "text-anchor": "end" }, "now"));
  lines.forEach((line, number) => {
    let run = [];
    const close = () => {
      if (run.length === 1) run.push([run[0][0] + 0.5, run[0][1]]);
      if (run.length) svg.append(shape("polyline", { class: `line-${number % 5}`, points: run.map(point => point.join()).join(" ") }));
      run = [];
    };
    line.points.forEach((point, index) => (point === null ? close() : run.push([x(times[index]).toFixed(1), y(point).toFixed(1)])));
    close();
  });
  place.replaceChildren(svg);
  figure.querySelector("figcaption").replaceChildren(
    ...lines.map((line, number) => {
      const named = document.createElement("span"), value = document.createElement("b");
      named.className = `line-${number % 5}`;
      value.textContent = written(line.points.at(-1) ?? null);
      named.append(`${line.name} `, value);
      return named;
    }));
}
