// The small trade-off curve: more is forgotten to the right, more is left of the rest to the top. Places are 0 to 1.
function curvePlot(data, follow, narrow) {
  const NS = "http://www.w3.org/2000/svg";
  const WIDTH = narrow ? 340 : 520, HEIGHT = narrow ? 300 : 340, LEFT = 46, RIGHT = 16, TOP = 14, BOTTOM = 46;
  const across = (x) => LEFT + (1 - x) * (WIDTH - LEFT - RIGHT);
  const down = (y) => TOP + (1 - y) * (HEIGHT - TOP - BOTTOM);
  const node = (tag, given = {}, text) => {
    const made = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const root = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "plot", role: "group", "aria-label": `${data.x} against: ${data.y}` });

  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    const named = tick === 0 || tick === 0.5 || tick === 1;
    root.append(node("line", { class: "grid", x1: across(tick), x2: across(tick), y1: down(0), y2: down(1) }));
    root.append(node("line", { class: "grid", x1: across(1), x2: across(0), y1: down(tick), y2: down(tick) }));
    if (!named) continue;
    root.append(node("text", { class: "tick", x: across(tick), y: down(0) + 15, "text-anchor": "middle" }, String(tick)));
    root.append(node("text", { class: "tick", x: LEFT - 6, y: down(tick) + 4, "text-anchor": "end" }, `${100 * tick} %`));
  }
  root.append(node("text", { class: "axis", x: across(0.5), y: HEIGHT - 8, "text-anchor": "middle" }, `${data.x} (less to the right)`));
  root.append(node("text", { class: "axis", transform: `translate(11 ${down(0.5)}) rotate(-90)`, "text-anchor": "middle" }, data.y));
  if (data.aim) {
    root.append(node("line", { class: "aim", x1: across(data.aim[0]), x2: across(data.aim[0]), y1: down(0), y2: down(1) }));
  }
  for (const line of data.lines) {
    const points = line.points.map(([x, y]) => `${across(x)},${down(y)}`).join(" ");
    const path = node("polyline", { class: "way", points });
    path.style.stroke = line.colour;
    root.append(path);
  }
  // Small ones first, so that what stands for a method lies on top and can be clicked.
  const boxes = data.points.map((p) => [across(p.x) - 7, down(p.y) - 7, 14, 14]);
  const free = (box) => box[0] > LEFT && box[0] + box[2] < WIDTH && box[1] > 0 && box[1] + box[3] < down(0)
    && !boxes.some((b) => b[0] < box[0] + box[2] && box[0] < b[0] + b[2] && b[1] < box[1] + box[3] && box[1] < b[1] + b[3]);
  for (const point of [...data.points].sort((a, b) => a.main - b.main)) {
    const size = point.main ? 13 : 7;
    const link = node("a", { href: point.href, class: point.hollow ? "point hollow" : "point", "aria-label": point.said });
    if (!point.main) link.setAttribute("tabindex", "-1");
    const place = `translate(${across(point.x) - size / 2} ${down(point.y) - size / 2}) scale(${size / 16})`;
    const shape = node("path", { d: SHAPES[point.look.symbol] ?? SHAPES.circle, transform: place });
    shape.style.setProperty("--mark", point.look.colour);
    link.append(node("title", {}, point.said), shape);
    link.onclick = (event) => follow(event, { page: "tradeoffs", run: point.name });
    root.append(link);
    if (!point.main) continue;
    const name = point.label.length > 22 ? `${point.label.slice(0, 21)}…` : point.label;
    const wide = 6.4 * name.length;
    const sides = [[10, 4, "start", 0], [-10, 4, "end", -wide], [0, -11, "middle", -wide / 2], [0, 18, "middle", -wide / 2],
      [9, -9, "start", 0], [-9, -9, "end", -wide], [9, 16, "start", 0], [-9, 16, "end", -wide]];
    for (const [right, low, anchor, start] of sides) {
      const box = [across(point.x) + right + start, down(point.y) + low - 10, wide, 12];
      if (!free(box)) continue;
      boxes.push(box);
      root.append(node("text", { class: "name", x: across(point.x) + right, y: down(point.y) + low, "text-anchor": anchor }, name));
      break;
    }
  }
  return root;
}
