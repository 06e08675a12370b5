// Says so while the box holds another prompt than the one that was answered: a form tells Python nothing before Run.
// Only typing pales the answers. Python fills the box of another probe a moment after it says so, without an event.
export default function ({ data, parentElement }) {
  const said = parentElement.querySelector(".said");
  said.textContent = data.sentence;
  said.life?.abort(); // Streamlit calls this again for other data without ending what was before
  const life = (said.life = new AbortController());
  const root = document.documentElement;
  if (said.answered !== data.answered) root.removeAttribute("data-prompt-waits");
  said.answered = data.answered;
  const differs = () => {
    const box = document.querySelector(".st-key-prompt_box textarea");
    return box !== null && box.value.trim() !== "" && box.value.trim() !== data.answered.trim();
  };
  const typed = () => root.toggleAttribute("data-prompt-waits", differs());
  const filled = () => differs() || root.removeAttribute("data-prompt-waits");
  document.addEventListener("input", typed, { signal: life.signal });
  const again = setInterval(filled, 300);
  life.signal.addEventListener("abort", () => clearInterval(again));
  return () => {
    said.life.abort();
    root.removeAttribute("data-prompt-waits");
  };
}
