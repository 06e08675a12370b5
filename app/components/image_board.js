// Pictures of all models from the same noise: a grid, a slider, a blink comparison, difference maps, and a lightbox.
// What is chosen inside the component (the other model, which picture is shown) stays in the browser.
const SIGNS = {
  yes: "M13.5 4.2L6.6 11.6 2.7 7.9l1.3-1.4 2.5 2.4 5.6-6z",
  no: "M4.3 3.200L8 6.900l3.700-3.700 1.100 1.100L9.100 8l3.700 3.700-1.100 1.100L8 9.100l-3.700 3.700-1.100-1.100L6.900 8 3.200 4.300z",
  still: "M8 1.200l7.200 13H.8zM7.200 5.800v4.200h1.600V5.800zM7.200 11.200v1.700h1.600v-1.700z",
};
const BLINK_MS = 700;
const PIXEL_SCALE = 2.5; // enlarged this much, pixels are shown as squares rather than as blur
const LARGE_PIXELS = 192; // sides above this fill their column
const lives = new WeakMap(); // parent element -> ends what the last drawing on it started

// Streamlit calls this again for every change of the data, and calls what it returned only when the board goes away.
export default function ({ data, parentElement, setTriggerValue }) {
  lives.get(parentElement)?.abort();
  const life = new AbortController();
  lives.set(parentElement, life);
  const root = parentElement.querySelector(".board");
  const dialog = parentElement.querySelector("dialog");
  const original = data.columns.find((column) => column.part === "original");
  const others = data.columns.filter((column) => column !== original);
  const other = () => others.find((column) => column.name === root.dataset.other) ?? others[0];
  const timers = [];

  function picture(src, alt) {
    const image = el("img");
    image.src = src;
    image.alt = alt;
    image.draggable = false;
    image.onload = () => {
      // A small picture is not blown up without need; a large one gets room.
      if (image.naturalWidth > LARGE_PIXELS) root.style.setProperty("--column", "20rem");
      sharpen(image);
    };
    return image;
  }

  function sharpen(image) {
    const enlarged = image.clientWidth / Math.max(1, image.naturalWidth);
    image.style.imageRendering = enlarged >= PIXEL_SCALE ? "pixelated" : "auto";
  }

  const nameOf = (cell) => cell.label ?? `seed ${cell.seed}`;
  const describe = (column, cell) =>
    `${column.title}, ${nameOf(cell)}` + (cell.judged.length ? `: ${cell.judged.map((j) => j.words).join(", ")}` : "");

  function heading(column) {
    const head = el("header");
    const names = el("div", "names");
    names.append(el("h2", "", column.title), el("span", "detail", column.detail));
    head.append(mark(column.look), names);
    return head;
  }

  function judgement(judged) {
    const line = el("div", `judged ${judged.sign}`);
    line.title = judged.words;
    if (SIGNS[judged.sign]) line.append(svg(SIGNS[judged.sign], "sign"));
    line.append(el("span", "class", judged.label), el("b", "", judged.share));
    return line;
  }

  function tile(column, cell) {
    const box = el("figure", "tile");
    if (!cell.src) {
      box.append(el("div", "empty", cell.message));
      if (cell.label) box.append(el("figcaption", "seed", cell.label));
      return box;
    }
    const button = el("button", "open");
    button.type = "button";
    button.setAttribute("aria-label", `Enlarge ${describe(column, cell)}`);
    button.append(picture(data.view === "difference" && cell.difference ? cell.difference : cell.src, describe(column, cell)));
    if (cell.message) button.append(el("span", "progress", cell.message));
    button.onclick = () => open(data.columns.indexOf(column), column.cells.indexOf(cell));
    box.append(button);
    const caption = el("figcaption");
    const seed = el("span", "seed", nameOf(cell));
    seed.title = cell.settings ?? "";
    caption.append(seed);
    if (data.view === "difference") caption.append(el("span", "mean", cell.mean));
    else caption.append(...cell.judged.map(judgement));
    box.append(caption);
    return box;
  }

  function card(column) {
    const node = el("article", `card ${column.part}`);
    node.style.setProperty("--mark", column.look.colour);
    node.setAttribute("aria-label", column.name);
    node.append(heading(column));
    if (column.message) node.append(el("p", "message", column.message));
    else node.append(...column.cells.map((cell) => tile(column, cell)));
    if (column.summary.length) {
      const summary = el("footer");
      summary.append(...column.summary.map((line) => el("div", "", line)));
      node.append(summary);
    }
    return node;
  }

  function grid() {
    const box = el("div", "grid");
    const rows = Math.max(0, ...data.columns.map((column) => column.cells.length));
    box.style.setProperty("--rows", rows + 2); // heading, pictures, summary: in line over all columns
    box.append(...data.columns.map(card));
    return box;
  }

  function chooser() {
    const box = el("div", "chooser");
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "Compare the original with");
    box.append(el("span", "label", "Original with"));
    for (const column of others) {
      const button = el("button", "chip");
      button.type = "button";
      button.setAttribute("aria-pressed", String(column === other()));
      button.append(mark(column.look), el("span", "", column.title));
      button.onclick = () => {
        root.dataset.other = column.name;
        draw();
      };
      box.append(button);
    }
    return box;
  }

  // Pairs of pictures that exist in both models, by seed.
  function pairs() {
    const right = other();
    if (!original || !right) return [];
    return original.cells
      .map((left) => [left, right.cells.find((cell) => cell.seed === left.seed)])
      .filter(([left, cell]) => left.src && cell?.src);
  }

  function caption(seed, node) {
    const line = el("figcaption", "pair-caption");
    line.append(el("span", "seed", `seed ${seed}`), node);
    return line;
  }

  function slider([left, right]) {
    const box = el("figure", "pair");
    const stage = el("div", "stage");
    const top = picture(left.src, describe(original, left));
    top.className = "top";
    const range = el("input");
    range.type = "range";
    range.min = 0;
    range.max = 100;
    range.value = 50;
    range.setAttribute("aria-label", `Share of the original shown, seed ${left.seed}`);
    range.oninput = () => stage.style.setProperty("--x", `${range.value}%`);
    stage.append(picture(right.src, describe(other(), right)), top, el("span", "handle"), range);
    const names = el("span", "sides");
    names.append(el("span", "", original.title), el("span", "", other().title));
    box.append(stage, caption(left.seed, names));
    return box;
  }

  function blink([left, right]) {
    const box = el("figure", "pair");
    const stage = el("div", "stage");
    stage.append(picture(right.src, describe(other(), right)), picture(left.src, describe(original, left)));
    stage.lastChild.className = "flip";
    const name = el("span", "shown-name");
    box.append(stage, caption(left.seed, name));
    return box;
  }

  function showFlip(on) {
    root.dataset.flip = on ? "other" : "original";
    root.querySelectorAll(".shown-name").forEach((node) => {
      const column = on ? other() : original;
      node.replaceChildren(mark(column.look), el("b", "", column.title));
    });
  }
  const swap = () => showFlip(root.dataset.flip !== "other");

  function blinkControls() {
    const box = el("div", "controls");
    const button = el("button", "chip", "Swap");
    button.type = "button";
    button.append(el("kbd", "", "B"));
    button.onclick = swap;
    const label = el("label", "chip");
    const auto = el("input");
    auto.type = "checkbox";
    auto.checked = root.dataset.auto === "on";
    auto.onchange = () => {
      root.dataset.auto = auto.checked ? "on" : "";
      draw();
    };
    label.append(auto, el("span", "", "Blink automatically"));
    box.append(button, label);
    return box;
  }

  function pairView(make) {
    const box = el("div", "pairs");
    const found = pairs();
    if (!found.length) return [chooser(), el("p", "message", "Select another model that has pictures of this prompt.")];
    box.append(...found.map(make));
    return [chooser(), box];
  }

  // Kept on the element: new data (a run that is on, the whole picture) must not turn an open lightbox to another one.
  let place = (root.dataset.place ?? "0,0").split(",").map(Number);
  function open(column, cell) {
    place = [column, cell];
    if (fillDialog() && !dialog.open) dialog.showModal();
  }

  function fillDialog() {
    const column = data.columns[place[0]];
    const cell = column?.cells[place[1]];
    if (!cell?.src) return false;
    const figure = el("figure");
    root.dataset.place = place.join(",");
    const whole = data.full?.[cell.image];
    if (cell.thumb && !whole) setTriggerValue("enlarge", cell.image);
    const shown = data.view === "difference" && cell.difference ? cell.difference : (whole ?? cell.src);
    const large = picture(shown, describe(column, cell));
    const text = el("figcaption");
    const title = el("div", "title");
    title.append(mark(column.look), el("b", "", column.title), el("span", "detail", cell.settings ?? `seed ${cell.seed} · ${data.prompt}`));
    text.append(title, ...cell.judged.map((judged) => el("div", "", judged.words)));
    text.append(el("div", "keys", "← → another column · ↑ ↓ another row · Esc closes"));
    figure.append(large, text);
    const close = el("button", "close", "Close");
    close.type = "button";
    close.onclick = () => dialog.close();
    dialog.replaceChildren(close, figure);
    dialog.setAttribute("aria-label", describe(column, cell));
    if (dialog.open) close.focus({ preventScroll: true }); // keys reach the dialog only while it holds the focus
    return true;
  }

  function move(columns, cells) {
    const before = place;
    place = [place[0] + columns, place[1] + cells];
    // Columns without a picture are jumped over.
    while (columns && data.columns[place[0]] && !data.columns[place[0]].cells[place[1]]?.src) place[0] += columns;
    if (!fillDialog()) place = before;
  }

  dialog.onclick = (event) => event.target === dialog && dialog.close();
  dialog.onkeydown = (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    move(...step);
  };

  const typing = (event) => /^(INPUT|TEXTAREA|SELECT)$/.test(event.composedPath()[0]?.tagName ?? "");
  function onKey(event) {
    if (event.key.toLowerCase() !== "b" || event.ctrlKey || event.metaKey || event.altKey || typing(event)) return;
    if (data.view === "blink") swap();
    else setTriggerValue("view", "blink");
  }
  document.addEventListener("keydown", onKey, { signal: life.signal });

  function legend() {
    const box = el("div", "legend");
    const bar = el("span", "ramp");
    bar.style.background = `linear-gradient(to right, ${data.legend.join(", ")})`;
    box.append(el("span", "", "Absolute difference to the original: 0"), bar, el("span", "", "1 (full scale)"));
    return box;
  }

  function film() {
    const box = el("div", "film");
    const { rows, steps, distance, share, part } = data.film;
    box.style.setProperty("--frames", steps.length);
    box.append(el("span", "corner", ""));
    steps.forEach((step) => {
      const head = el("span", step === part ? "step part" : "step", `step ${step}`);
      if (step === part) head.append(el("b", "", "diverge"));
      box.append(head);
    });
    rows.forEach((row) => {
      const name = el("span", "film-name");
      name.append(mark(row.look), el("b", "", row.title));
      box.append(name);
      row.frames.forEach((src, place) => box.append(picture(src, `${row.title}, step ${steps[place]}`)));
    });
    box.append(el("span", "film-name detail", "difference"));
    distance.forEach((value, place) => {
      const cell = el("span", "apart", value);
      cell.style.setProperty("--share", share[place]);
      box.append(cell);
    });
    const ends = el("p", "message", part === null ? "The two pictures end the same." : `The two pictures diverge at step ${part}.`);
    return [ends, box];
  }

  function draw() {
    timers.splice(0).forEach(clearInterval);
    if (data.view === "slider") root.replaceChildren(...pairView(slider));
    else if (data.view === "blink") {
      root.replaceChildren(blinkControls(), ...pairView(blink));
      showFlip(root.dataset.flip === "other");
      if (root.dataset.auto === "on") timers.push(setInterval(swap, BLINK_MS));
    } else if (data.view === "steps") root.replaceChildren(...film());
    else root.replaceChildren(...(data.view === "difference" ? [legend()] : []), grid());
  }
  draw();
  if (dialog.open) fillDialog();

  const resized = new ResizeObserver(() => root.querySelectorAll("img").forEach(sharpen));
  resized.observe(root);
  life.signal.addEventListener("abort", () => {
    timers.splice(0).forEach(clearInterval);
    resized.disconnect();
  });
  return () => life.abort();
}
