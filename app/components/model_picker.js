// The models of the study, one row per method; each checkpoint is a toggle. Python holds the truth: a click sends the
// wanted names, and the next data shows them ticked. A search narrows what is seen, and what "all" and "none" are about.
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".picker");
  const chosen = new Set(data.chosen);
  const send = () => setTriggerValue("picked", [...chosen]);

  const toggle = (names, on) => {
    names.forEach((name) => (on ? chosen.add(name) : chosen.delete(name)));
    draw();
    send();
  };

  const wanted = () => (root.dataset.search ?? "").toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const found = (group) => {
    const text = [group.name, ...group.models.map((model) => model.title)].join(" ").toLocaleLowerCase();
    return wanted().every((word) => text.includes(word));
  };
  const seen = () => data.groups.filter(found);

  function bar() {
    const box = el("div", "bar");
    if (data.search) {
      const search = el("input", "search");
      search.type = "search";
      search.placeholder = "Search models";
      search.setAttribute("aria-label", "Search models");
      search.value = root.dataset.search ?? "";
      search.oninput = () => {
        root.dataset.search = search.value;
        drawRows();
      };
      box.append(search);
    }
    const all = pick("All", "Select all models", "Show every method: its usual checkpoint", () => {
      const off = seen().filter((group) => !group.models.some((model) => chosen.has(model.name)));
      toggle(off.map((group) => group.usual), true);
    });
    const none = pick("None", "Select no model but the original", "Show only the original", () => {
      toggle(seen().filter((group) => !group.fixed).flatMap((group) => group.models.map((model) => model.name)), false);
    });
    box.append(all, none);
    return box;
  }

  function pick(text, label, title, act) {
    const button = el("button", "pick", text);
    button.type = "button";
    button.title = title;
    button.setAttribute("aria-label", label);
    button.onclick = act;
    return button;
  }

  // One stop of the Tab key a row of checkpoints; arrow keys walk along it.
  function walk(event) {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    event.preventDefault();
    const buttons = [...event.currentTarget.children];
    const next = buttons[buttons.indexOf(event.target) + move];
    if (!next) return;
    buttons.forEach((button) => (button.tabIndex = button === next ? 0 : -1));
    next.focus();
  }

  function step(model) {
    const button = el("button", model.recorded ? "step recorded" : "step", model.label);
    button.type = "button";
    button.title = [model.title, model.recorded && "recorded only: the weights are not on this machine", model.note]
      .filter(Boolean)
      .join(" · ");
    button.setAttribute("aria-label", model.title);
    button.setAttribute("aria-pressed", String(chosen.has(model.name)));
    button.onclick = () => toggle([model.name], !chosen.has(model.name));
    return button;
  }

  function row(group) {
    const ticked = group.models.filter((model) => chosen.has(model.name));
    const line = el("div", ticked.length ? "row on" : "row");
    line.style.setProperty("--mark", group.look.colour);
    const label = el("label", "name");
    const box = el("input");
    box.type = "checkbox";
    box.checked = ticked.length > 0;
    box.disabled = group.fixed;
    box.onchange = () => toggle(box.checked ? [group.usual] : group.models.map((model) => model.name), box.checked);
    const title = el("span", "title", group.short);
    title.title = [group.name, group.hint].filter(Boolean).join(" · ");
    box.setAttribute("aria-label", group.name);
    label.append(box, mark(group.look), title);
    if (group.hint && !data.search) label.append(el("span", "hint", group.hint));
    line.append(label);
    if (group.models.length > 1) {
      const steps = el("div", "steps");
      steps.setAttribute("role", "group");
      steps.setAttribute("aria-label", `Checkpoints of ${group.name}, by step`);
      steps.append(...group.models.map(step));
      const stop = Math.max(0, group.models.findLastIndex((model) => chosen.has(model.name)));
      [...steps.children].forEach((button, place) => (button.tabIndex = place === stop ? 0 : -1));
      steps.onkeydown = walk;
      line.append(steps);
    }
    return line;
  }

  function drawRows() {
    const focused = root.getRootNode().activeElement?.getAttribute("aria-label");
    const groups = seen();
    const rows = root.querySelector(".rows");
    rows.replaceChildren(...groups.map(row));
    if (!groups.length) rows.append(el("div", "none", "No model has this in its name."));
    if (focused) [...rows.querySelectorAll("button, input")].find((b) => b.getAttribute("aria-label") === focused)?.focus();
  }

  function draw() {
    if (!root.querySelector(".rows")) {
      root.replaceChildren(bar(), el("div", "said"), el("div", "rows"));
    } else if (root.getRootNode().activeElement !== root.querySelector(".search")) {
      const focused = root.getRootNode().activeElement?.getAttribute("aria-label");
      root.querySelector(".bar").replaceWith(bar());
      [...root.querySelectorAll(".bar button")].find((b) => b.getAttribute("aria-label") === focused)?.focus();
    }
    const said = root.querySelector(".said");
    said.textContent = data.said;
    said.hidden = !data.said;
    drawRows();
  }
  draw();
}
