// Pages of entry: questions that come and go, lists that are searched by typing, keys, and saving while somebody types.
// All of them work without it: questions say when they are to be answered, lists are lists, and a button saves.

const QUIET = 2000; // milliseconds after the last change until it is saved
const AGAIN = 10000; // until it is tried again

function setUp(form) {
  const questions = [...form.querySelectorAll("[data-question]")];
  for (const list of form.querySelectorAll("select[data-search]")) {
    search(list);
  }
  form.addEventListener("input", (event) => {
    oneAnswer(form, event.target);
    show(form, questions);
  });
  form.addEventListener("change", () => show(form, questions));
  for (const question of questions) {
    today(question);
  }
  show(form, questions);
  keys(form);
  if ("autosave" in form.dataset) {
    new Saving(form, questions);
  }
}

// ---- answers ------------------------------------------------------------------------------------------------------

// The boxes of a question, by name: what the server reads.
function boxes(question) {
  const found = {};
  for (const element of question.querySelectorAll("input[name], select[name]")) {
    if (!element.name) {
      continue; // what a searched list is typed into
    }
    const counts = !["radio", "checkbox"].includes(element.type) || element.checked;
    found[element.name] = counts ? element.value : (found[element.name] ?? "");
  }
  return found;
}

// The answer to a question, as text: what is ticked or typed beside it counts first.
function answer(form, header) {
  const question = form.querySelector(`[data-question="${header}"]`);
  if (!question) {
    return "";
  }
  const given = boxes(question);
  const main = given[header] === "another" ? "" : (given[header] ?? "");
  const ticked = given[`${header}-apart`] || given[`${header}-abroad`];
  return (ticked || given[`${header}-another`] || main).trim().toUpperCase();
}

// Of the boxes for one answer, those that are not used are emptied.
function oneAnswer(form, element) {
  const [header, part] = (element.name ?? "").split("-");
  const ticks = ["apart", "abroad"].map((each) => form.elements[`${header}-${each}`]).filter(Boolean);
  if (ticks.includes(element) && element.checked) {
    form.elements[header].value = "";
    ticks.forEach((tick) => (tick.checked = tick === element));
  } else if (header && part === undefined) {
    const another = form.elements[`${header}-another`];
    if (another && element.value !== "another") {
      another.value = "";
    }
    if (element.value) {
      ticks.forEach((tick) => (tick.checked = false));
    }
  }
}

// Beside a date, a button that fills in today's. Nobody is born today.
function today(question) {
  const parts = [...question.querySelectorAll(".govuk-date-input input")];
  if (parts.length !== 3 || question.dataset.question === "DOB") {
    return;
  }
  const item = document.createElement("div");
  item.className = "govuk-date-input__item";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "cjit-link govuk-!-font-size-19";
  button.textContent = "Today";
  const legend = document.createElement("span");
  legend.className = "govuk-visually-hidden";
  legend.textContent = `: ${question.querySelector("legend").textContent.trim()}`;
  button.append(legend);
  button.addEventListener("click", () => {
    const now = new Date();
    [now.getDate(), now.getMonth() + 1, now.getFullYear()].forEach((part, place) => (parts[place].value = part));
    parts[0].dispatchEvent(new Event("input", { bubbles: true }));
  });
  item.append(button);
  parts[0].closest(".govuk-date-input").append(item);
}

// ---- when a question is asked (`When` of questions.py) ------------------------------------------------------------

function holds(form, [header, kind, among, but]) {
  const text = answer(form, header);
  if (!text) {
    return false;
  }
  if (kind === "count") {
    return /^[0-9]{1,9}$/.test(text) && Number(text) > 0 && !but.includes(String(Number(text)));
  }
  if (kind === "default postcode") {
    return /^ZZ99\s*3(VZ)?$/.test(text);
  }
  const plain = text.replace(/^0+/, "") || text;
  return among.length ? among.includes(plain) : !but.includes(plain);
}

function show(form, questions) {
  for (const question of questions) {
    if (question.dataset.when) {
      const asked = JSON.parse(question.dataset.when).some((test) => holds(form, test));
      // What has a text is always shown: nothing is hidden that would be saved.
      const filled = Object.values(boxes(question)).some((text) => text.trim());
      question.hidden = !asked && !filled;
    }
    for (const box of question.querySelectorAll("[data-another]")) {
      box.hidden = form.elements[box.dataset.another].value !== "another" && !box.querySelector("input").value;
    }
  }
}

// ---- long lists ---------------------------------------------------------------------------------------------------

async function search(list) {
  await import("./accessible-autocomplete.min.js");
  const id = list.id;
  const told = [`${id}-error`, `${id}-hint`].map((each) => document.getElementById(each)?.textContent.trim());
  const choices = [...list.options].filter((option) => option.value).map((option) => option.text);
  const another = [...list.options].find((option) => option.value === "another")?.text;
  const blank = [...list.options].find((option) => !option.value).text;
  const plainly = (text) => (text === blank ? "" : (text ?? ""));
  const unknown = document.createElement("p");
  unknown.className = "govuk-error-message";
  unknown.hidden = true;
  unknown.textContent = "That is not in the list, so it is not saved: choose one that is";
  list.before(unknown);
  self.accessibleAutocomplete.enhanceSelectElement({
    selectElement: list,
    defaultValue: list.value ? list.selectedOptions[0].text : "",
    displayMenu: "overlay",
    // A list that can be scrolled would be a place for Tab, which closes it: nobody would be anywhere.
    menuAttributes: { tabindex: "-1" },
    showAllValues: true,
    templates: { inputValue: plainly, suggestion: escaped },
    // By what stands in the box: opened with an arrow key, the list is asked for with nothing.
    source: (query, give) => give(matches(choices, document.getElementById(id).value, another, blank)),
    tAssistiveHint: () => [...told, "Type to search, and choose with the arrow keys and Enter."].filter(Boolean).join(". "),
    onConfirm: (text) => {
      // Called on leaving too, without a text where nothing was picked.
      const wanted = plainly(text ?? document.getElementById(id).value).trim().toLowerCase();
      const found = [...list.options].find((option) => option.value && option.text.toLowerCase() === wanted);
      unknown.hidden = !wanted || Boolean(found);
      const value = found?.value ?? "";
      if (list.value !== value) {
        list.value = value;
        list.dispatchEvent(new Event("input", { bubbles: true }));
      }
    },
  });
}

// Those that begin with what is typed come first, and that it is another one last. The first is taken by who goes on:
// nothing where nothing is typed, and what stands there where that is a choice.
function matches(choices, query, another, blank) {
  const wanted = query.trim().toLowerCase();
  const same = wanted ? choices.find((text) => text.toLowerCase() === wanted) : blank;
  if (same) {
    return [same, ...choices.filter((text) => text !== same)];
  }
  const found = choices.filter((text) => text.toLowerCase().includes(wanted) || text === another);
  const first = (text) => (text === another ? 2 : text.toLowerCase().startsWith(wanted) ? 0 : 1);
  return found.sort((one, other) => first(one) - first(other));
}

function escaped(text) {
  const element = document.createElement("span");
  element.textContent = text ?? "";
  return element.innerHTML;
}

// Choose of a list, be it searched or not.
function choose(list, value) {
  list.value = value;
  const id = list.id.replace(/-select$/, "");
  if (id !== list.id) {
    // It cannot be told another text: it is made anew.
    document.getElementById(id).closest(".autocomplete__wrapper").parentElement.remove();
    list.previousElementSibling?.classList.contains("govuk-error-message") && list.previousElementSibling.remove();
    list.id = id;
    list.style.display = "";
    search(list);
  }
}

// ---- keys ---------------------------------------------------------------------------------------------------------

function keys(form) {
  form.querySelector("[data-keys]")?.removeAttribute("hidden");
  document.addEventListener("keydown", (event) => {
    const enter = event.key === "Enter" && (event.ctrlKey || event.metaKey);
    const save = event.altKey && !event.ctrlKey && event.code === "KeyS";
    if (enter || save) {
      event.preventDefault();
      document.activeElement?.blur(); // a searched list takes what is typed
      form.requestSubmit(form.querySelector("button[type=submit]"));
    }
  });
}

// ---- saving while somebody types ----------------------------------------------------------------------------------

class Saving {
  constructor(form, questions) {
    this.form = form;
    this.questions = questions;
    this.line = form.querySelector("[data-told]");
    this.saved = this.state();
    this.under_way = null;
    this.leaving = false;
    const later = () => this.in(QUIET);
    form.addEventListener("input", later);
    form.addEventListener("change", later);
    form.addEventListener("submit", (event) => this.submit(event));
    document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && this.save());
    addEventListener("pagehide", () => this.save());
    // Shown again as it was left.
    addEventListener("pageshow", () => (this.leaving = false));
  }

  state() {
    return JSON.stringify(this.questions.map(boxes));
  }

  in(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), milliseconds);
  }

  // Save what is not saved. Returns whether all could be sent.
  async save() {
    clearTimeout(this.timer);
    while (this.under_way) {
      await this.under_way;
    }
    if (this.leaving || this.state() === this.saved) {
      return true;
    }
    this.under_way = this.send();
    const done = await this.under_way;
    this.under_way = null;
    return done;
  }

  async send(again = true) {
    const sent = this.state();
    const body = new URLSearchParams(new FormData(this.form));
    try {
      const answer = await fetch(location.pathname, {
        method: "POST",
        body,
        headers: { Accept: "application/json" },
        keepalive: true,
        redirect: "manual",
      });
      if (answer.type === "opaqueredirect") {
        this.tell("Not saved: you are signed out. Keep this page, sign in again in another window, then press Save.");
        return false;
      }
      if (answer.status === 403 && again) {
        // Signed in again meanwhile: the page's token is that of the session before.
        return (await this.renew()) && (await this.send(false));
      }
      if (!(answer.headers.get("Content-Type") ?? "").startsWith("application/json")) {
        this.tell("Not saved: the service could not take it. What you typed is still on this page.");
        return false;
      }
      const told = await answer.json();
      this.tell(told.told);
      if (!answer.ok) {
        return true; // the page says what is wrong with it
      }
      this.take(told, JSON.parse(sent));
      return true;
    } catch {
      this.tell("Not saved: there is no connection. It is tried again.");
      this.in(AGAIN);
      return false;
    }
  }

  async renew() {
    const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const token = page.querySelector("form[data-entry] input[name=csrfmiddlewaretoken]");
    if (!token) {
      this.tell("Not saved: you are signed out. Keep this page, sign in again in another window, then press Save.");
      return false;
    }
    this.form.elements.csrfmiddlewaretoken.value = token.value;
    return true;
  }

  // What the server says of the fields: what it knows now, what it found, and what others changed.
  take(told, sent) {
    const was = told.was;
    const before = JSON.parse(this.form.elements.was.value);
    this.questions.forEach((question, number) => {
      const header = question.dataset.question;
      if (told.boxes[header]) {
        if (JSON.stringify(boxes(question)) === JSON.stringify(sent[number])) {
          fill(question, told.boxes[header]);
          sent[number] = boxes(question);
        } else {
          was[header] = before[header]; // changed here meanwhile: the next save sees that both did
        }
      }
      wrong(question, told.findings[header]);
      note(question, told.notes[header] ?? "");
    });
    this.form.elements.was.value = JSON.stringify(was);
    this.saved = JSON.stringify(sent);
    show(this.form, this.questions);
    const rest = document.querySelector("[data-to-do]");
    if (rest) {
      rest.textContent = told.to_do;
      rest.hidden = !told.to_do;
    }
    if (this.state() !== this.saved) {
      this.in(QUIET);
    }
  }

  tell(text) {
    if (this.line.textContent !== text) {
      this.line.textContent = text;
    }
  }

  // A button: what is under way is waited for, and a page that cannot be saved is kept.
  async submit(event) {
    if (this.leaving) {
      return;
    }
    if (this.under_way || this.state() !== this.saved) {
      event.preventDefault();
      const button = event.submitter;
      if (await this.save()) {
        this.leaving = true;
        this.form.requestSubmit(button);
      }
      return;
    }
    this.leaving = true;
  }
}

// Show a text in the boxes of a question.
function fill(question, contents) {
  for (const [name, content] of Object.entries(contents)) {
    for (const element of question.querySelectorAll(`[name="${name}"]`)) {
      if (["radio", "checkbox"].includes(element.type)) {
        element.checked = element.value === content && content !== "";
      } else if (element instanceof HTMLSelectElement) {
        choose(element, content);
      } else {
        element.value = content;
      }
    }
  }
}

// Say what follows from an answer.
function note(question, text) {
  const place = question.querySelector("[data-note]");
  if (place && place.textContent !== text) {
    place.textContent = text;
    place.hidden = !text;
  }
}

// Say what is wrong with an answer, or no longer say so.
function wrong(question, text) {
  const group = question.querySelector(".govuk-form-group");
  const header = question.dataset.question;
  let error = document.getElementById(`${header}-error`);
  group.classList.toggle("govuk-form-group--error", Boolean(text));
  if (!text) {
    error?.remove();
    return;
  }
  if (!error) {
    error = document.createElement("p");
    error.id = `${header}-error`;
    error.className = "govuk-error-message";
    const first = group.querySelector(".govuk-hint, .govuk-radios, .govuk-date-input, .govuk-input, .govuk-select");
    (first.classList.contains("govuk-hint") ? first.after(error) : first.before(error));
    const described = group.querySelector("fieldset") ?? group.querySelector("input, select");
    described.setAttribute("aria-describedby", `${described.getAttribute("aria-describedby") ?? ""} ${error.id}`.trim());
  }
  if (error.dataset.said !== text) {
    error.dataset.said = text;
    error.innerHTML = `<span class="govuk-visually-hidden">Error:</span> ${escaped(text)}`;
  }
}

for (const form of document.querySelectorAll("form[data-entry]")) {
  setUp(form);
}
