// One step of the browser's history for one step of a person. Streamlit tells a page and what is shown on it one after
// the other, in either order, and each would be an entry to which Back leads.
export default function () {
  const push = history.pushState;
  if (push.whole) return; // one for all pages of a window
  let parts = false; // the latest entry has another query than the one before, and nobody has pressed anything since
  const pressed = () => (parts = false);
  for (const press of ["pointerdown", "keydown"]) addEventListener(press, pressed, true);
  const step = (state, title, address) => {
    const { pathname, search } = new URL(address, location.href);
    const moved = pathname !== location.pathname;
    const unfinished = location.search === "" || (moved && parts && search === location.search);
    parts = !moved;
    return unfinished ? history.replaceState(state, title, address) : push.call(history, state, title, address);
  };
  step.whole = true;
  history.pushState = step;
}
