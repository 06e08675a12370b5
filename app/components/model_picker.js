// The models of the study, one row per method; each checkpoint is a toggle. Python holds the truth: a click sends the
// wanted names, and the next data shows them ticked.
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".picker");
  const chosen = new Set(data.chosen);
  const send = () => setTriggerValue("picked", [...chosen]);

  const toggle = (names, on) => {
    names.forEach((name) => (on ? chosen.add(name) : chosen.delete(name)));
    draw();
    send();
  };

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
    label.append(box, mark(group.look), el("span", "title", group.name));
    if (group.hint) label.append(el("span", "hint", group.hint));
    line.append(label);
    if (group.models.length > 1) {
      const steps = el("div", "steps");
      steps.setAttribute("role", "group");
      steps.setAttribute("aria-label", `Checkpoints of ${group.name}, by step`);
      steps.append(...group.models.map(step));
      line.append(steps);
    }
    return line;
  }

  function draw() {
    const focused = root.getRootNode().activeElement?.getAttribute("aria-label");
    root.replaceChildren(...data.groups.map(row));
    if (focused) [...root.querySelectorAll("button")].find((b) => b.getAttribute("aria-label") === focused)?.focus();
  }
  draw();
}
