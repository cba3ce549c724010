// Finding a client as one types. What is typed is posted, so that it stands in no address. Without this script the
// form does the same with its button.
const form = document.querySelector("form[data-search]");
const box = form.elements.find;
const said = document.querySelector("[data-search-said]");
const list = document.querySelector("[data-search-found]");
const links = () => [...list.querySelectorAll("a")];
let shown = asked(box.defaultValue, form.elements.open.defaultChecked); // what the list on the page was asked for
let asking = null;
let timer = 0;

function asked(text, onlyOpen) {
  return JSON.stringify([text.trim(), onlyOpen]);
}

function typed() {
  return asked(box.value, form.elements.open.checked);
}

// Ask for what is typed now. An answer to what was typed before is not waited for.
async function find() {
  clearTimeout(timer);
  const wanted = typed();
  if (wanted === shown) {
    return;
  }
  asking?.abort();
  asking = new AbortController();
  try {
    const answer = await fetch(form.dataset.search, {
      method: "POST",
      body: new FormData(form),
      signal: asking.signal,
      redirect: "manual",
    });
    if (!answer.ok) {
      location.reload(); // signed out meanwhile
      return;
    }
    const made = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-said]");
    const isWithin = list.contains(document.activeElement);
    list.replaceChildren(made);
    said.textContent = made.dataset.said;
    shown = wanted;
    if (isWithin) {
      (links()[0] ?? box).focus();
    }
  } catch (error) {
    if (error.name !== "AbortError") {
      said.textContent = "The service cannot be reached: try again in a moment";
    }
  }
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(find, 150);
}

box.addEventListener("input", soon);
form.elements.open.addEventListener("change", find);
addEventListener("pageshow", find); // a browser may have put back what was typed

// Enter: open the one that is found, or go to the first of them.
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  await find();
  if (typed() !== shown) {
    return;
  }
  const found = links();
  if (found.length === 1 && box.value.trim()) {
    found[0].click();
  } else {
    found[0]?.focus();
  }
});

// The arrow keys go from the box through the list and back.
document.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const places = [box, ...links()];
  const here = places.indexOf(document.activeElement);
  if (step && here >= 0 && places[here + step]) {
    event.preventDefault();
    places[here + step].focus();
  }
});

// The key / goes to the box, unless somebody is writing or has said that they do not want it: whoever speaks to their
// computer may say a key without meaning it.
const key = document.querySelector("[data-search-key]");
const OFF = "search-key-off";

function tell() {
  key.textContent = `Switch ${localStorage.getItem(OFF) ? "on" : "off"} the / key, which goes to the search`;
}

tell();
key.hidden = false;
key.addEventListener("click", () => {
  if (localStorage.getItem(OFF)) {
    localStorage.removeItem(OFF);
  } else {
    localStorage.setItem(OFF, "yes");
  }
  tell();
});
document.addEventListener("keydown", (event) => {
  const writing = document.activeElement.matches("input:not([type=checkbox]), textarea, select");
  const withAnother = event.ctrlKey || event.altKey || event.metaKey;
  if (event.key === "/" && !writing && !withAnother && !localStorage.getItem(OFF)) {
    event.preventDefault();
    box.focus();
    box.select();
  }
});
