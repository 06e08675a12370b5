// A Plotly chart that is updated where it stands: another figure moves its points, another choice marks them anew.
// The figure comes ready from Python, its texts escaped; words for people who do not see it go through setAttribute.
const charts = new WeakMap(); // parent element -> what is drawn there
let loading; // the library, one for all charts of a window

function library(address) {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      loading = undefined; // the next chart tries again
      reject(new Error("The drawing library could not be loaded. Reload the page."));
    };
    document.head.append(script);
  });
  return loading;
}

// What the page's theme says of text and lines, where the figure itself says nothing.
function template(node) {
  const style = getComputedStyle(node);
  const theme = (name) => style.getPropertyValue(`--st-${name}`).trim();
  const [text, line, paper] = ["text-color", "border-color", "background-color"].map(theme);
  const grey = /^#[0-9a-f]{6}$/i.test(text) ? `${text}99` : text;
  const font = { family: theme("font"), size: 12, color: text };
  const axis = {
    automargin: true,
    gridcolor: line,
    zerolinecolor: line,
    tickcolor: line,
    tickfont: { color: grey },
    title: { font: { size: 14 }, standoff: 20 },
  };
  return {
    layout: {
      font,
      hoverlabel: { bgcolor: paper, bordercolor: line, font },
      margin: { pad: 8 },
      modebar: { bgcolor: paper, color: grey, activecolor: text },
      xaxis: { ...axis, showgrid: false, zeroline: false },
      yaxis: axis,
    },
  };
}

// The places of a trace's points that are chosen; no places at all where nothing is, so that none is drawn faint.
function marked(trace, chosen) {
  if (!chosen.size || !trace.customdata) return null;
  return trace.customdata.flatMap((code, place) => (chosen.has(code) ? [place] : []));
}

const MOST_NAMED = 8; // chosen points that are named; more names would cover each other

// Names of the chosen points that have none on the chart, as annotations above them.
function chosenNames(traces, layout, chosen, look) {
  const onAxis = (value, axis) => (axis?.type === "log" ? Math.log10(value) : value);
  const named = traces.flatMap((trace) =>
    (marked(trace, chosen) ?? []).map((place) => ({ trace, place, text: trace.meta?.[place] }))
  );
  return named
    .filter(({ text }) => text)
    .slice(0, MOST_NAMED)
    .map(({ trace, place, text }) => ({
      x: onAxis(trace.x[place], layout.xaxis),
      y: onAxis(trace.y[place], layout.yaxis),
      text,
      name: "chosen",
      ax: 0,
      ay: -24,
      arrowhead: 0,
      arrowwidth: 1,
      arrowcolor: look.layout.font.color,
      bgcolor: look.layout.hoverlabel.bgcolor,
      borderpad: 2,
      font: { size: 13, color: look.layout.font.color },
    }));
}

const same = (some, others) => String(some ?? null) === String(others ?? null);

class Chart {
  constructor(node) {
    this.node = node;
    this.count = 0;
    this.done = Promise.resolve();
    this.watch = new ResizeObserver(() => this.queue(() => this.fit()));
  }

  queue(step) {
    this.done = this.done.catch(() => {}).then(step);
    return this.done;
  }

  async show(data, send) {
    if (this.wanted !== data) return; // newer data came while this waited
    this.plotly = await library(data.library);
    this.send = send;
    this.node.setAttribute("role", "figure");
    this.node.setAttribute("aria-label", data.alt);
    const look = template(this.node);
    const drawn = data.figure + JSON.stringify(look);
    if (this.drawn === drawn) return this.mark();
    this.drawn = drawn;
    const { data: traces, layout } = JSON.parse(data.figure);
    this.names = layout.annotations ?? [];
    this.look = look;
    if (data.chosen) {
      const chosen = new Set(data.chosen);
      for (const trace of traces) if (trace.customdata) trace.selectedpoints = marked(trace, chosen);
      layout.annotations = [...this.names, ...chosenNames(traces, layout, chosen, look)];
    }
    this.home = Object.entries(layout)
      .filter(([name]) => /^[xy]axis/.test(name))
      .map(([name, { range }]) => (range ? [`${name}.range`, [...range]] : [`${name}.autorange`, true]));
    // Without its own revision the browser's last choice would be kept, by place, on other points.
    Object.assign(layout, { template: look, autosize: true, selectionrevision: ++this.count });
    layout.modebar = { uirevision: "kept" }; // a person who draws boxes goes on with it on other axes
    await this.plotly.react(this.node, traces, layout, this.configured(data.config));
    this.width = this.node.clientWidth;
    this.thinOut();
    if (!this.heard) this.listen();
  }

  listen() {
    this.heard = true;
    this.watch.observe(this.node);
    this.node.on("plotly_doubleclick", () => this.queue(() => this.reset()));
    this.node.on("plotly_selected", (event) => {
      const codes = event?.points.filter((point) => point.customdata !== undefined).map((point) => point.customdata);
      if (codes?.length) this.send([...new Set(codes.flat())]);
    });
    this.node.on("plotly_deselect", () => this.queue(() => this.mark()));
  }

  // Plotly itself would go back to the ranges of the first figure that stood here. With another configuration it draws
  // from nothing, so this must come out the same each time.
  configured(config) {
    const icon = this.plotly.Icons.home;
    this.homeButton ??= { name: "home", title: "Reset axes", icon, click: () => this.reset() };
    const swapped = (name) => (name === "resetScale2d" ? this.homeButton : name);
    const buttons = config.modeBarButtons?.map((group) => group.map(swapped));
    return { ...config, ...(buttons && { modeBarButtons: buttons }), doubleClick: false };
  }

  reset() {
    return this.plotly.relayout(this.node, structuredClone(Object.fromEntries(this.home)));
  }

  // Mark the chosen points; after a click on one they are marked already.
  async mark() {
    if (!this.wanted.chosen) return;
    const chosen = new Set(this.wanted.chosen);
    const places = [];
    const points = [];
    this.node.data.forEach((trace, place) => {
      if (!trace.customdata) return;
      const wanted = marked(trace, chosen);
      if (same(wanted, trace.selectedpoints)) return;
      places.push(place);
      points.push(wanted);
    });
    if (places.length) await this.plotly.restyle(this.node, { selectedpoints: points }, places);
    const names = [...this.names, ...chosenNames(this.node.data, this.node.layout, chosen, this.look)];
    if (JSON.stringify(names) === JSON.stringify(this.node.layout.annotations ?? [])) return;
    await this.plotly.relayout(this.node, { annotations: names });
    this.thinOut();
  }

  // Names were placed for a window of usual width: where it is narrower, the later of two that meet is left out.
  thinOut() {
    const kept = [];
    const drawn = [...this.node.querySelectorAll(".annotation")];
    const named = (mark) => this.node.layout.annotations?.[mark.dataset.index]?.name;
    const chosen = (mark) => named(mark) === "chosen";
    const edge = this.node.getBoundingClientRect().right;
    for (const mark of [...drawn.filter(chosen), ...drawn.filter((mark) => !chosen(mark))]) {
      mark.style.transform = "";
      const over = mark.querySelector(".annotation-text-g").getBoundingClientRect().right - edge;
      if (over > 0) mark.style.transform = `translateX(${-over}px)`;
      const box = mark.querySelector(".annotation-text-g").getBoundingClientRect();
      const meets = named(mark) !== "line end" && kept.some( // names at ends of lines are apart already
        (other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom
      );
      mark.style.visibility = meets ? "hidden" : "";
      if (!meets) kept.push(box);
    }
  }

  async fit() {
    const width = this.node.clientWidth;
    if (!width || width === this.width) return; // a hidden chart has no width
    this.width = width;
    await this.plotly.Plots.resize(this.node);
    this.thinOut();
  }

  // Streamlit asks for the end also when newer data came before this was drawn; then the chart goes on.
  end() {
    if (this.node.isConnected) return;
    this.watch.disconnect();
    this.plotly?.purge(this.node);
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  if (data.figure === undefined) {
    // Only fetched ahead, when the page has nothing else to do.
    const idle = window.requestIdleCallback ?? setTimeout; // Safari has none
    setTimeout(() => idle(() => library(data.library).catch(() => {})), data.after);
    return;
  }
  let chart = charts.get(parentElement);
  if (!chart) charts.set(parentElement, (chart = new Chart(parentElement.querySelector(".chart"))));
  chart.wanted = data;
  return chart.queue(() => chart.show(data, (codes) => setTriggerValue("picked", codes))).then(() => () => chart.end());
}
