// Says so while the box holds another prompt than the one that was answered: a form tells Python nothing before Run.
export default function ({ data, parentElement }) {
  const said = parentElement.querySelector(".said");
  said.textContent = data.sentence;
  const check = () => {
    const box = document.querySelector(".st-key-prompt_box textarea");
    const waits = box !== null && box.value.trim() !== "" && box.value.trim() !== data.answered.trim();
    document.documentElement.toggleAttribute("data-prompt-waits", waits);
  };
  said.life?.abort(); // Streamlit calls this again for other data without ending what was before
  const life = (said.life = new AbortController());
  document.addEventListener("input", check, { signal: life.signal });
  const again = setInterval(check, 300); // a box that Python fills sends no event
  life.signal.addEventListener("abort", () => clearInterval(again));
  check();
  return () => {
    said.life.abort();
    document.documentElement.removeAttribute("data-prompt-waits");
  };
}
