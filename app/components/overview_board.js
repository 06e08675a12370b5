// The verdict on every method as a table with small scales, the trade-off curve, telling examples, and what is missing.
// All text comes from Python and goes through textContent. A click is sent to Python; the links work in a new window too.
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".overview");
  const MOST = 12;
  root.opened ??= new Set();

  function follow(event, opened) {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return; // the browser's own new window
    event.preventDefault();
    setTriggerValue("open", opened);
  }

  function link(className, text, href, opened, label) {
    const node = el("a", className, text);
    node.href = href;
    if (label) node.setAttribute("aria-label", label);
    node.onclick = (event) => follow(event, opened);
    return node;
  }

  function role(node, name) {
    node.setAttribute("role", name);
    return node;
  }

  function section(className, title, ...children) {
    const node = el("section", className);
    node.setAttribute("aria-label", title);
    node.append(el("h2", "", title), ...children);
    return node;
  }

  const narrow = () => root.clientWidth > 0 && root.clientWidth < 480;
  const percent = (place) => `${100 * place}%`;
  const OUTCOME_SIGNS = { yes: "✕", undecided: "?" };

  function scale(each, look) {
    const cell = role(el("div", `cell ${each.outcome}`), "cell");
    cell.title = each.said;
    const top = el("div", "numbers");
    top.setAttribute("aria-hidden", "true");
    top.append(el("span", "label", each.title), el("b", "", each.text));
    if (OUTCOME_SIGNS[each.outcome]) top.append(el("span", "sign", OUTCOME_SIGNS[each.outcome]));
    const bar = el("div", "bar");
    bar.setAttribute("aria-hidden", "true");
    if (each.outcome !== "missing") {
      const part = (className, from, to) => {
        const node = el("i", className);
        node.style.left = percent(from);
        if (to !== undefined) node.style.width = percent(Math.max(0, to - from));
        return node;
      };
      bar.append(el("i", "track"));
      if (each.zone) bar.append(part("zone", ...each.zone));
      if (each.original !== null) bar.append(part("tick original", each.original));
      if (each.retained !== null) bar.append(part("tick retained", each.retained));
      if (each.low !== null && each.high !== null) bar.append(part("interval", each.low, each.high));
      const dot = part("dot", each.value);
      dot.append(mark(look));
      bar.append(dot);
    }
    cell.append(top, bar, el("span", "hidden", each.said));
    return cell;
  }

  function row(each, group) {
    const line = role(el("div", group ? "row" : "row other"), "row");
    line.dataset.model = each.key;
    const head = role(el("div", "head"), "rowheader");
    const names = el("div", "names");
    names.append(mark(each.look), link("name", each.title, each.href, each.open), badge(each.kind, each.short, each.kind_title));
    const foot = el("div", "foot");
    foot.append(...each.badges.map((text) => el("span", "more", text)));
    head.append(names, el("p", "sentence", each.sentence), foot);
    if (group && each.others.length) {
      const open = root.opened.has(each.name);
      const count = each.count;
      const others = `${count} other checkpoint${count > 1 ? "s" : ""}`;
      const button = el("button", "fold", `${open ? "Hide" : "Show"} ${others}`);
      button.type = "button";
      button.dataset.method = each.name;
      button.setAttribute("aria-label", `${open ? "Hide" : "Show"} ${others} of ${each.name}`);
      button.setAttribute("aria-expanded", String(open));
      button.onclick = () => {
        root.opened[open ? "delete" : "add"](each.name);
        draw();
        [...root.querySelectorAll(".fold")].find((b) => b.dataset.method === each.name)?.focus();
      };
      foot.append(button);
    }
    line.append(head, ...each.scales.map((one) => scale(one, each.look)));
    return line;
  }

  function lastRow(text) {
    const line = role(el("div", "row other"), "row");
    line.append(role(el("div", "head note", text), "cell"));
    return line;
  }

  function legend() {
    const node = el("div", "legend");
    const entry = (sign, text) => {
      const one = el("span", "entry");
      one.append(sign, el("span", "", text));
      return one;
    };
    node.append(...data.against.map((each) => entry(mark(each.look), each.title)));
    node.append(entry(el("i", "zone"), data.yardstick ? `within the limit, against ${data.yardstick}` : "within the limit"));
    node.append(entry(el("i", "interval"), data.yardstick ? `95 % interval of the difference to ${data.yardstick}` : "95 % interval"));
    node.append(entry(el("span", "sign yes", "✕"), "beyond the limit"), entry(el("span", "sign", "?"), "undecided"));
    return node;
  }

  function verdicts() {
    const table = role(el("div", "table"), "table");
    table.setAttribute("aria-label", "Verdict on every method, the best first");
    const top = role(el("div", "row heads"), "row");
    top.append(role(el("div", "head", "Method"), "columnheader"));
    top.append(...data.heads.map((each) => {
      const node = role(el("div", "cell", each.title), "columnheader");
      node.title = each.about;
      return node;
    }));
    table.append(top);
    const all = root.opened.has("\n") || data.rows.length <= MOST + 2;
    for (const each of all ? data.rows : data.rows.slice(0, MOST)) {
      table.append(row(each, true));
      if (root.opened.has(each.name)) {
        table.append(...each.others.map((one) => row(one, false)));
        const left = each.count - each.others.length;
        if (left > 0) table.append(lastRow(`${left} more checkpoints, which did worse, are on Trade-offs.`));
      }
    }
    const parts = [legend(), table];
    if (!all) {
      const button = el("button", "fold all", data.methods > data.rows.length ? `Show the best ${data.rows.length} of ${data.methods} methods` : `Show all ${data.methods} methods`);
      button.type = "button";
      button.onclick = () => { root.opened.add("\n"); draw(); };
      parts.push(button);
    }
    return section("verdicts", "Verdicts", ...parts);
  }

  function example(each) {
    const card = el("li", "example");
    const title = el("h3");
    title.append(link("", each.title, each.href, { page: "compare", ...each.open }, `${each.title}: ${each.model}. Open in Compare`));
    const prompt = el("p", "prompt", each.prompt);
    prompt.dir = "auto";
    const answers = el("dl", each.answers.some((one) => one.picture !== undefined) ? "answers pictures" : "answers");
    for (const one of each.answers) {
      const name = el("dt");
      name.append(mark(one.look), el("span", "", one.name));
      const said = el("dd", "", one.text);
      said.dir = "auto";
      if (one.picture) {
        const picture = el("img");
        picture.src = one.picture;
        picture.alt = `${one.name}: ${each.prompt}`;
        said.append(picture);
      } else if (one.picture === "") said.textContent = "not recorded";
      const pair = el("div");
      pair.append(name, said);
      answers.append(pair);
    }
    card.append(title, el("p", "point", each.point), prompt, answers, el("p", "shows", each.shows));
    card.title = each.rule;
    return card;
  }

  function gap(each) {
    const item = el("li");
    item.append(el("span", "", `${each.text} `));
    if (each.mend === "runs") item.append(link("mend", "Go to Runs", data.runs, { page: "runs" }));
    if (each.mend === "attacks") item.append(link("mend", "Try attacks", data.attacks, { page: "robustness" }));
    if (each.how) item.append(el("span", "how", `${each.how} `));
    if (each.code) item.append(el("code", "", each.code.replace("\n", "  ")));
    return item;
  }

  function rules() {
    const node = el("details", "rules");
    node.open = root.opened.has("\nrules");
    node.ontoggle = () => root.opened[node.open ? "add" : "delete"]("\nrules");
    const list = el("ul");
    list.append(...data.rules.map((line) => el("li", "", line)));
    node.append(el("summary", "", "Rules and thresholds"), list, el("p", "note", "Thresholds are in the table [verdict] of the study file."));
    if (data.examples.length) {
      const chosen = el("ul");
      chosen.append(...data.examples.map((each) => el("li", "", `${each.title}. ${each.rule}`)));
      node.append(el("p", "chosen", "Examples are chosen so:"), chosen);
    }
    return node;
  }

  function draw() {
    const lead = el("div", "lead");
    const [first, ...others] = data.headline;
    lead.append(el("p", "first", first ?? ""));
    if (data.sure) lead.append(el("p", "sure", data.sure));
    if (others.length) lead.append(el("p", "", others.join(" ")));
    if (data.about) {
      const about = el("p", "about", data.about);
      about.dir = "auto";
      lead.append(about);
    }
    const lower = el("div", "lower");
    if (data.curve) {
      lower.append(section("curve", "Trade-off", curvePlot(data.curve, follow, narrow()), el("p", "note", "The aim is the top right corner, no further right than the star. A click opens the point on Trade-offs.")));
    }
    if (data.examples.length) {
      const list = el("ol", "examples");
      list.append(...data.examples.map(example));
      lower.append(section("telling", "Telling examples", list));
    }
    const parts = [lead, verdicts()];
    if (lower.childElementCount) parts.push(lower);
    if (data.gaps.length) {
      const list = el("ul", "gaps");
      list.append(...data.gaps.map(gap));
      parts.push(section("missing", "For a firmer verdict", list));
    }
    parts.push(rules());
    root.replaceChildren(...parts);
  }
  const asked = data.show !== root.shown && data.rows.find((each) => [each, ...each.others].some((one) => one.key === data.show));
  root.shown = data.show;
  if (asked && asked.key !== data.show) root.opened.add(asked.name);
  if (asked && data.rows.indexOf(asked) >= MOST) root.opened.add("\n");
  draw();
  if (asked) [...root.querySelectorAll(".row")].find((row) => row.dataset.model === data.show)?.scrollIntoView({ block: "center" });
  let drawn = narrow();
  root.watch?.disconnect(); // Streamlit calls this again for other data without ending what was before
  root.watch = new ResizeObserver(() => {
    if (narrow() === drawn) return;
    drawn = narrow();
    draw();
  });
  root.watch.observe(root);
  return () => root.watch.disconnect();
}
