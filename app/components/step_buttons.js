// Previous and Next, also by the keys K and J. Steps are counted here, from the probe at which the count began: Streamlit
// makes one click of several that come while it is at work. A count ends when Python has followed it to its end.
export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".steps");
  const { count } = root;
  if (count && data.followed?.turn === count.turn && data.followed.by === count.by) root.count = undefined;

  const place = (by) => {
    const { from, steps } = root.count ? { from: root.count.place, steps: root.count.by } : { from: data.place, steps: 0 };
    return from + steps + by;
  };
  const possible = (by) => place(by) >= 0 && place(by) < data.total;
  const go = (by) => {
    if (!possible(by)) return;
    root.count ??= { from: data.current, place: data.place, by: 0, turn: Date.now() };
    root.count.by += by;
    draw();
    setStateValue("step", { from: root.count.from, by: root.count.by, turn: root.count.turn });
  };
  const draw = () => {
    for (const button of root.children) button.disabled = !possible(Number(button.dataset.by));
  };
  for (const button of root.children) button.onclick = () => go(Number(button.dataset.by));

  root.life?.abort(); // Streamlit calls this again for other data without ending what was before
  const life = (root.life = new AbortController());
  const pressed = (event) => {
    if (!root.isConnected) return life.abort();
    const by = { j: 1, k: -1 }[event.key.toLowerCase()];
    const box = event.composedPath()[0];
    const typing = box.isContentEditable || /^(input|textarea|select)$/i.test(box.tagName);
    if (by && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) go(by);
  };
  document.addEventListener("keydown", pressed, { signal: life.signal });
  draw();
  return () => life.abort(); // its own only: Streamlit may end what was before after it began what is now
}
