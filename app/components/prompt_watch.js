// Says so while the box holds another prompt than the one that was answered: a form tells Python nothing before Run.
// Only typing pales the answers. Python fills the box of another probe a moment after it says so, without an event.
// What is typed lies in the window's storage until it is run, or kept by Python after something else took its place.
const typedTexts = (() => {
  try {
    return sessionStorage;
  } catch {
    return { getItem: () => null, setItem() {}, removeItem() {} }; // a browser that keeps nothing
  }
})();

export default function ({ data, parentElement, setTriggerValue }) {
  const said = parentElement.querySelector(".said");
  said.textContent = data.sentence;
  said.life?.abort(); // Streamlit calls this again for other data without ending what was before
  const life = (said.life = new AbortController());
  const root = document.documentElement;
  if (said.answered !== data.answered) root.removeAttribute("data-prompt-waits");
  said.answered = data.answered;
  const slot = `unlearnboard.prompt.${data.study}`;
  const box = () => document.querySelector(".st-key-prompt_box textarea");
  const differs = () => {
    const text = box()?.value.trim();
    return Boolean(text) && text !== data.answered.trim();
  };
  const typed = ({ target }) => {
    if (target !== box()) return;
    const waits = root.toggleAttribute("data-prompt-waits", differs());
    if (waits) typedTexts.setItem(slot, target.value);
    else typedTexts.removeItem(slot);
  };
  const filled = () => {
    if (!said.isConnected) return life.abort();
    differs() || root.removeAttribute("data-prompt-waits");
    const text = typedTexts.getItem(slot);
    if (text === null || !box()) return;
    if (text.trim() === data.answered.trim() || data.kept.includes(text)) typedTexts.removeItem(slot);
    else if (box().value === text) root.setAttribute("data-prompt-waits", ""); // Back leaves it where it is
    else if (said.told !== text) setTriggerValue("replaced", (said.told = text));
  };
  document.addEventListener("beforeinput", filled, { signal: life.signal }); // before a new text takes the slot
  document.addEventListener("input", typed, { signal: life.signal });
  const again = setInterval(filled, 300);
  life.signal.addEventListener("abort", () => clearInterval(again));
  return () => {
    life.abort(); // its own only: Streamlit may end what was before after it began what is now
    root.removeAttribute("data-prompt-waits");
  };
}
