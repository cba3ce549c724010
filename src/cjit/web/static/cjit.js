// What the pages do with JavaScript. All of them work without it.
import { initAll } from "./govuk-frontend.min.js";

document.body.classList.add("js-enabled", "govuk-frontend-supported");
initAll();

// Printing: <p data-print="Print"> says how to print the page, and becomes a button of that name that does it.
for (const element of document.querySelectorAll("[data-print]")) {
  const button = document.createElement("button");
  button.className = "govuk-button govuk-button--secondary";
  button.textContent = element.dataset.print;
  button.addEventListener("click", () => print());
  element.replaceWith(button);
}

// Progress: <div data-state-url="…" role="status"> is asked for its state, soon and then less and less often, up to
// every two seconds: what takes a moment is shown at once. The answer is JSON:
// {"text": what to show in [data-state-text], "done" of "size": how much is done, for its <progress> (of
// nothing: nobody knows), "finished": whether to load the page again}. A text is only written when it differs, so that a screen reader says each once.
for (const element of document.querySelectorAll("[data-state-url]")) {
  let wait = 300;
  const look = async () => {
    try {
      const answer = await fetch(element.dataset.stateUrl, { headers: { Accept: "application/json" } });
      if (answer.redirected || answer.status === 404) {
        location.reload(); // signed out meanwhile, or gone
        return;
      }
      if (answer.ok) {
        const state = await answer.json();
        if (state.finished) {
          location.reload();
          return;
        }
        const text = element.querySelector("[data-state-text]") ?? element;
        if (state.text && text.textContent.trim() !== state.text) {
          text.textContent = state.text;
        }
        const bar = element.querySelector("progress");
        if (bar && state.size > 0) {
          bar.max = state.size;
          bar.value = state.done;
        }
      }
    } catch {
      // The network is gone for a moment: ask again.
    }
    wait = Math.min(wait * 1.5, 2000);
    setTimeout(look, wait);
  };
  setTimeout(look, wait);
}
