// A verdict a line: mark and name, badge, the whole sentence. All text comes from Python and goes through textContent.
export default function ({ data, parentElement }) {
  parentElement.querySelector(".verdicts").replaceChildren(
    ...data.lines.map((each) => {
      const item = el("li");
      const head = el("span", "head");
      head.append(mark(each.look), el("b", "", each.title));
      item.append(head, badge(each.kind, each.word), el("span", "sentence", each.sentence));
      return item;
    }),
  );
}
