// One line of verdicts: a mark, a name and a badge a model, and the sentence where there is room for it.
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
  const last = el("li");
  last.append(more);
  list.append(last);
}
