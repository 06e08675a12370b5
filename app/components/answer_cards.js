// Answers of all models as cards: the original pinned at the left, the others in a grid beside it.
// Everything a model wrote goes through textContent; colours, numbers and words come ready from Python.
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".board");
  const tip = parentElement.querySelector(".tip");

  const written = (tag, className, text) => {
    const node = el(tag, className, text);
    node.dir = "auto";
    return node;
  };

  const DIFF_TAGS = { same: "span", ins: "ins", del: "del" };
  function answerText(answer) {
    const box = written("div", "text");
    if (answer.segments) box.append(...answer.segments.map(([kind, text]) => el(DIFF_TAGS[kind], kind, text)));
    else box.textContent = answer.text;
    if (answer.given) box.prepend(el("span", "given", answer.given), " "); // not the model's words
    if (answer.growing) box.append(el("span", "caret"));
    return box;
  }

  function answerBlock(answer) {
    const block = el("div", "answer");
    if (answer.label) block.append(el("div", "seed", answer.label));
    block.append(answerText(answer));
    return block;
  }

  function showTip(token, anchor) {
    tip.replaceChildren(el("div", "tip-token", token.text), ...token.facts.map(([name, value]) => fact(name, value)));
    if (token.rivals.length) {
      tip.append(el("div", "tip-title", "Top-k alternatives"));
      tip.append(...token.rivals.map(([text, share, width]) => rival(text, share, width)));
    }
    tip.showPopover(); // in the top layer, where neither sidebar nor scrolling clips it
    const box = anchor.getBoundingClientRect();
    const left = Math.min(Math.max(8, box.left + box.width / 2 - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 8);
    const above = box.top - tip.offsetHeight - 8;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 8 ? above : box.bottom + 8}px`;
  }

  function fact(name, value) {
    const line = el("div", "fact");
    line.append(el("span", "", name), el("b", "", value));
    return line;
  }

  function rival(text, share, width) {
    const line = el("div", "rival");
    const bar = el("span", "bar");
    bar.style.width = `${width}%`;
    line.append(bar, written("code", "", text), el("b", "", share));
    return line;
  }

  // Arrow keys walk along a row; one stop of the Tab key a row.
  function walk(event) {
    const move = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    const tokens = [...event.currentTarget.children];
    const next = Math.min(Math.max(tokens.indexOf(event.target) + move, 0), tokens.length - 1);
    tokens[next].focus();
  }

  function tokenRow(row) {
    const box = el("div", "heat");
    const line = written("div", "tokens");
    line.setAttribute("role", "list");
    line.setAttribute("aria-label", row.title);
    line.onkeydown = walk;
    row.tokens.forEach((token, index) => {
      // A chip a token: the space that starts most tokens is drawn as the gap before it.
      const spaced = token.text.startsWith(" ") && token.text.trim();
      const node = el("span", spaced ? "token spaced" : "token", spaced ? token.text.slice(1) : token.text);
      if (token.key) node.classList.add("key");
      node.style.background = token.background;
      node.style.color = token.ink;
      node.tabIndex = index ? -1 : 0;
      node.setAttribute("role", "listitem");
      node.setAttribute("aria-label", `${token.text}${token.key ? ", key fact" : ""}: ${token.facts.map((pair) => pair.join(" ")).join(", ")}`);
      node.onmouseenter = node.onfocus = () => showTip(token, node);
      node.onmouseleave = node.onblur = () => tip.hidePopover();
      line.append(node);
    });
    box.append(el("div", "row-title", row.title), line);
    return box;
  }

  function measures(list) {
    const table = el("dl", "measures");
    for (const measure of list) {
      const cell = el("div", measure.tone ? `measure ${measure.tone}` : "measure");
      cell.title = measure.help;
      const value = el("dd", "", measure.value);
      if (measure.tone === "yes" || measure.tone === "no") value.prepend(svg(YES_NO[measure.tone], "sign"));
      cell.append(el("dt", "", measure.name), value);
      table.append(cell);
    }
    return table;
  }
  const YES_NO = {
    yes: "M13.5 4.2L6.6 11.6 2.7 7.9l1.3-1.4 2.5 2.4 5.6-6z",
    no: "M8 1.4a6.6 6.6 0 1 0 0 13.2A6.6 6.6 0 0 0 8 1.4zM4.8 7h6.4v2H4.8z",
  };

  function card(model) {
    const node = el("article", `card ${model.part}${model.same ? " same-as-original" : ""}`);
    node.style.setProperty("--mark", model.look.colour);
    node.setAttribute("aria-label", model.name);
    const head = el("header");
    const names = el("div", "names");
    names.append(el("h2", "", model.title), el("span", "detail", model.detail));
    head.append(mark(model.look), names);
    node.append(head);
    if (model.message) node.append(el("p", `message ${model.tone}`, model.message));
    node.append(...model.rows.map(tokenRow), ...model.answers.map(answerBlock));
    const foot = el("footer");
    if (model.measures.length) foot.append(measures(model.measures));
    if (model.note) foot.append(el("div", "note", model.note));
    node.append(foot);
    return node;
  }

  function referenceBlock(reference) {
    const box = el("section", "reference");
    box.setAttribute("aria-label", "Reference answer");
    const text = written("span", "text");
    text.append(...reference.parts.map(([kind, part]) => el(kind === "key" ? "mark" : "span", "", part)));
    box.append(el("span", "label", "Reference"), text);
    return box;
  }

  // A conversation as it is put to the models: who says what, and what the answer is made to begin with.
  function askedBlock(asked) {
    const box = el("section", "asked");
    box.setAttribute("aria-label", "As it is asked");
    for (const [who, text] of asked) {
      const line = el("div", "turn");
      line.append(el("span", "label", who), written("div", "text", text));
      box.append(line);
    }
    return box;
  }

  function legendBlock(legend) {
    const box = el("div", "legend");
    const bar = el("span", "ramp");
    bar.style.background = `linear-gradient(to right, ${legend.colours.join(", ")})`;
    const ticks = el("span", "ticks");
    ticks.append(...legend.ticks.map((tick) => el("span", "", tick)));
    const scale = el("span", "scale");
    scale.append(bar, ticks);
    if (legend.note) scale.append(el("span", "legend-note", legend.note));
    box.append(el("span", "", legend.title), scale);
    return box;
  }

  function draw() {
    if (tip.matches(":popover-open")) tip.hidePopover();
    const top = el("div", "top");
    if (data.asked?.length) top.append(askedBlock(data.asked));
    if (data.reference) top.append(referenceBlock(data.reference));
    if (data.legends.length) {
      const legends = el("div", "legends");
      legends.append(...data.legends.map(legendBlock));
      top.append(legends);
    }
    if (data.marks.del) {
      const marks = el("div", "marks");
      marks.append(el("del", "", data.marks.del), el("ins", "", data.marks.ins));
      top.append(marks);
    }
    const columns = el("div", "columns");
    const pinned = el("div", "pinned");
    const rest = el("div", "rest");
    pinned.append(...data.cards.filter((model) => model.part === "original").map(card));
    rest.append(...data.cards.filter((model) => model.part !== "original").map(card));
    columns.style.setProperty("--others", `${Math.max(1, rest.childElementCount)}fr`);
    columns.append(pinned, rest);
    root.replaceChildren(...(top.childElementCount ? [top] : []), columns);
  }
  draw();
}
