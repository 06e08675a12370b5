// The kind of a verdict as a badge: a shape, a colour and a word, so that none of them is needed to tell.
const KIND_SHAPES = {
  forgotten: "M13.6 4.1L6.5 11.9 2.4 8l1.3-1.4 2.7 2.6 5.7-6.4z",
  "forgotten so far": "M8 1.600a6.400 6.400 0 1 0 0 12.800a6.400 6.400 0 0 0 0-12.800zM8 3.400v9.200a4.600 4.600 0 0 1 0-9.200z",
  damaged: "M8 1.6l6.9 12.3H1.1zM7.2 6v4.1h1.6V6zm0 5v1.6h1.6V11z",
  undecided: "M5 5.6C5 3.7 6.3 2.4 8.1 2.4c1.7 0 3 1.1 3 2.8 0 1.5-.9 2.1-1.7 2.8-.5.4-.6.7-.6 1.5H7.1c0-1.4.3-2 1.1-2.7.7-.6 1.1-.9 1.1-1.6 0-.7-.5-1.1-1.2-1.1S6.8 4.6 6.8 5.6zM7 11h2v2H7z",
  hidden: "M8 3.4C4.4 3.4 1.8 6.3.8 8c1 1.7 3.6 4.6 7.2 4.6s6.2-2.9 7.2-4.6c-1-1.7-3.6-4.6-7.2-4.6zm0 7.4A2.8 2.8 0 1 1 8 5.200a2.8 2.8 0 0 1 0 5.600zM8 6.700a1.300 1.300 0 1 0 0 2.600 1.300 1.300 0 0 0 0-2.600z",
  "not forgotten": "M2 2.400h12v8.400H7.600L4.400 13.800v-3H2z",
  destroyed: "M4.200 2.700L8 6.500l3.800-3.800 1.500 1.500L9.500 8l3.800 3.800-1.500 1.500L8 9.500l-3.800 3.800-1.500-1.500L6.500 8 2.700 4.200z",
  "not tested": "M3 7h10v2H3z",
};

function badge(kind, text, title) {
  const node = el("span", "badge");
  node.dataset.kind = kind;
  const shape = svg(KIND_SHAPES[kind] ?? KIND_SHAPES.undecided, "kind");
  shape.firstChild.setAttribute("fill-rule", "evenodd");
  node.append(shape, el("span", "", text));
  if (title) node.title = title;
  return node;
}
