// Marker shapes on a 16 x 16 field, the same as Plotly's of these names, so that a model looks alike everywhere.
const SHAPES = {
  circle: "M8 2.2a5.8 5.8 0 1 0 0 11.6 5.8 5.8 0 0 0 0-11.6z",
  star: "M8 .8l2.1 4.9 5.3.5-4 3.5 1.2 5.2L8 12.1l-4.6 2.8 1.2-5.2-4-3.5 5.3-.5z",
  square: "M2.8 2.8h10.4v10.4H2.8z",
  diamond: "M8 .9L15.1 8 8 15.1.9 8z",
  "triangle-up": "M8 1.6l6.8 11.9H1.2z",
  "triangle-down": "M8 14.4L1.2 2.5h13.6z",
  cross: "M5.8 1.5h4.4v4.3h4.3v4.4h-4.3v4.3H5.8v-4.3H1.5V5.8h4.3z",
  x: "M4.4 1.4L8 5l3.6-3.6 3 3L11 8l3.6 3.6-3 3L8 11l-3.6 3.6-3-3L5 8 1.4 4.4z",
  hexagon: "M8 .9l6.2 3.5v7.2L8 15.1l-6.2-3.5V4.4z",
  pentagon: "M8 1l7.2 5.2-2.8 8.4H3.6L.8 6.2z",
};

function el(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined && text !== null) node.textContent = text; // text, never markup
  return node;
}

function svg(path, className) {
  const NS = "http://www.w3.org/2000/svg";
  const root = document.createElementNS(NS, "svg");
  root.setAttribute("viewBox", "0 0 16 16");
  root.setAttribute("aria-hidden", "true");
  root.setAttribute("class", className);
  const shape = document.createElementNS(NS, "path");
  shape.setAttribute("d", path);
  root.append(shape);
  return root;
}

function mark(look) {
  const root = svg(SHAPES[look.symbol] ?? SHAPES.circle, "mark");
  root.style.fill = look.colour;
  return root;
}
