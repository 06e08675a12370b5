// A verdict a line: mark, name, badge and the whole sentence. All text comes from Python and goes through textContent.
export default function ({ data, parentElement }) {
  parentElement.querySelector(".verdicts").replaceChildren(
    ...data.lines.map((each) => {
      const item = el("li");
      const head = el("span", "head");
      head.append(mark(each.look), el("b", "", each.title), badge(each.kind, each.word));
      item.append(head, el("span", "sentence", each.sentence));
      return item;
    }),
  );
}
