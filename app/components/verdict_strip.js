// Verdicts in two lines at most, in one on a phone, the best first: a mark, a name and a badge a model, the sentence where they are few.
const NARROW = 480; // pixels

export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector(".strip");
  list.replaceChildren(
    ...data.models.map((each) => {
      const item = el("li");
      item.title = `${each.kind_title}. ${each.sentence}`;
      item.append(mark(each.look), el("b", "", each.title), badge(each.kind, each.short));
      item.append(el("span", data.models.length > 2 ? "hidden" : "sentence", each.sentence));
      return item;
    }),
  );
  const more = el("a", "", "Why");
  more.href = data.href;
  more.setAttribute("aria-label", "Why: the verdicts on Overview");
  more.onclick = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return; // the browser's own new window
    event.preventDefault();
    setTriggerValue("why", true);
  };
  const rest = el("button");
  rest.type = "button";
  const last = el("li");
  last.append(rest, more);
  list.append(last);

  const items = [...list.children].slice(0, -1);
  let open = data.models.length <= 2;
  function fit() {
    const most = list.clientWidth < NARROW ? 1 : 2;
    items.forEach((item) => (item.hidden = false));
    rest.hidden = true;
    const lines = () => new Set([...list.children].filter((item) => !item.hidden).map((item) => item.offsetTop)).size;
    for (let shown = items.length; !open && shown > 1 && lines() > most; ) {
      items[--shown].hidden = true;
      rest.hidden = false;
      rest.textContent = `+${items.length - shown} more`;
    }
  }
  rest.onclick = () => {
    open = true;
    fit();
  };
  list.seen?.disconnect(); // Streamlit calls this again for other data without ending what was before
  list.seen = new ResizeObserver(fit);
  list.seen.observe(list.parentElement);
  fit();
  return () => list.seen.disconnect();
}
