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
    oneAnswer(event.target);
    show(form, questions);
  });
  form.addEventListener("mousedown", (event) => {
    // Left by a press on a button, a box would ask its question, and the button move away from under the pointer.
    if (event.target.closest("button[type=submit]") && lists(form).some((each) => each.under_way)) {
      event.preventDefault();
    }
  });
  form.addEventListener("submit", (event) => {
    if (stays(form)) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
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

// What a tick beside the postcode replaces: what was typed there, and what follows from it. Who takes the tick back
// has it again, also where the page was saved meanwhile.
const replaced = new Map();

function remember(question, box, ticked) {
  if (ticked) {
    return; // by the other tick, and remembered then
  }
  const others = new Map();
  for (const header of ["DAT", "UTLA"]) {
    const other = question.closest("form").querySelector(`[data-question="${header}"]`);
    if (other) {
      others.set(other, boxes(other));
    }
  }
  replaced.set(question, { text: box.value, others });
}

function bringBack(question, box) {
  const kept = replaced.get(question);
  replaced.delete(question);
  if (kept && !box.value) {
    box.value = kept.text;
    kept.others.forEach((contents, other) => fill(other, contents));
  }
}

// Of the boxes for one answer, those that are not used are emptied. They are looked for by their names within their
// question: `form.elements` takes an id for a name, and gives two things where a list is searched.
function oneAnswer(element) {
  const question = element.closest("[data-question]");
  const [header, part] = (element.name ?? "").split("-");
  const named = (name) => question?.querySelector(`[name="${name}"]`);
  const ticks = ["apart", "abroad"].map((each) => named(`${header}-${each}`)).filter(Boolean);
  if (ticks.includes(element)) {
    if (element.checked) {
      remember(question, named(header), ticks.some((tick) => tick !== element && tick.checked));
      named(header).value = "";
      ticks.forEach((tick) => (tick.checked = tick === element));
    } else {
      bringBack(question, named(header));
    }
    return;
  }
  if (question) {
    // What somebody answers anew is not what a tick has replaced.
    replaced.forEach((kept, of) => (of === question ? replaced.delete(of) : kept.others.delete(question)));
  }
  if (header && part === undefined) {
    const another = named(`${header}-another`);
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
      const filled = Object.values(boxes(question)).some((text) => text.trim()) || lists(question).some((each) => each.open);
      question.hidden = !asked && !filled;
    }
    for (const box of question.querySelectorAll("[data-another]")) {
      box.hidden = boxes(question)[box.dataset.another] !== "another" && !box.querySelector("input").value;
    }
  }
}

// ---- long lists ---------------------------------------------------------------------------------------------------

// The lists that are searched by typing, by their selects.
const searched = new Map();

function lists(within) {
  return [...searched.values()].filter((each) => within.contains(each.list));
}

// Whether a form stays, because what was typed to search a list is no answer yet.
function stays(form) {
  lists(form).forEach((each) => each.settle());
  const open = lists(form).find((each) => each.open);
  open?.box.focus();
  return open !== undefined;
}

async function search(list) {
  await import("./accessible-autocomplete.min.js");
  searched.set(list, new Searched(list));
}

// A text as it is compared: without capitals, accents and the signs between its words.
function plainly(text) {
  const letters = text.normalize("NFD").replace(/[\p{M}.'’]/gu, "").replaceAll("&", " and ");
  return letters.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();
}

// What can be chosen of a list, by its label and its other names.
class Choice {
  constructor(option) {
    this.option = option;
    this.blank = option.value === "";
    this.another = option.value === "another";
    this.shown = this.blank ? "" : option.text; // in the box
    this.code = this.another ? "" : plainly(option.value);
    const names = option.dataset.names?.split("|") ?? [];
    this.names = (this.blank ? names : [option.text, ...names]).map((name) => ({ name, plain: plainly(name) }));
  }

  // How a name answers to a text: 0 it is that, 1 each word of the text begins one of it, 2 it has it elsewhere, 3 not.
  // Of what is not in the list one must say so from the beginning, and that there is no answer altogether.
  place({ name, plain }, text) {
    if (plain === text || this.blank) {
      return plain === text ? 0 : 3;
    }
    if (this.another && name === this.option.text) {
      return plain.startsWith(text) ? 1 : 3;
    }
    // Where all are of one letter no words are meant that merely begin so: “n/a” is not Saint Kitts and Nevis.
    const words = text.split(" ");
    const letters = words.length > 1 && words.every((word) => word.length === 1);
    const begins = words.every((word) => ` ${plain}${letters ? " " : ""}`.includes(` ${word}${letters ? " " : ""}`));
    return begins ? 1 : plain.includes(text) ? 2 : 3;
  }

  // The name that answers best to a text, and how. A code is a word like another: “mar” is more than Morocco.
  best(text) {
    const found = this.names.map((name) => ({ name: name.name, place: this.place(name, text) }));
    const [best] = found.sort((one, other) => one.place - other.place);
    return best?.place > 1 && this.code === text ? { name: this.option.text, place: 1 } : (best ?? { place: 3 });
  }
}

// A list that is searched by typing. What is typed becomes the answer where it can be one alone; else it stays in its
// box, and a question stands beside it. Nothing is taken because it comes first.
class Searched {
  constructor(list) {
    const id = list.id;
    this.list = list;
    this.open = false; // whether what is typed is no answer
    this.writing = false;
    this.lines = []; // what the open list has
    this.choices = [...list.options].map((option) => new Choice(option));
    this.told = document.createElement("div");
    this.told.id = `${id}-open`;
    this.told.setAttribute("role", "alert");
    list.before(this.told);
    self.accessibleAutocomplete.enhanceSelectElement({
      selectElement: list,
      autoselect: false,
      defaultValue: this.answer,
      displayMenu: "overlay",
      // A list that can be scrolled would be a place for Tab, which closes it: nobody would be anywhere.
      menuAttributes: { tabindex: "-1" },
      showAllValues: true,
      templates: { inputValue: (text) => this.called(text)?.shown ?? "", suggestion: (text) => this.suggested(text) },
      // By what stands in the box: opened with an arrow key, the list is asked for with nothing.
      source: (query, give) => give((this.lines = this.writing ? [] : this.offered())),
      tAssistiveHint: () =>
        [
          ...[`${id}-error`, `${id}-hint`].map((each) => document.getElementById(each)?.textContent.trim()),
          "Type to search, and choose with the arrow keys and Enter.",
        ]
          .filter(Boolean)
          .join(". "),
      // Called on leaving too, without a text where none was picked: see `settle`.
      onConfirm: (text) => {
        if (text !== undefined) {
          this.take(this.called(text));
          // Where that there is no answer was picked, the component shows the text before again.
          queueMicrotask(() => this.under_way && this.write());
        }
      },
    });
    this.box = document.getElementById(id);
    const around = this.box.closest(".autocomplete__wrapper").parentElement;
    around.addEventListener("keydown", (event) => this.key(event), true);
    around.addEventListener("focusout", (event) => around.contains(event.relatedTarget) || this.settle());
    this.box.addEventListener("input", () => this.writing || this.ask(""));
  }

  // What the box shows of the answer there is.
  get answer() {
    return this.choices.find((each) => each.option === this.list.selectedOptions[0])?.shown ?? "";
  }

  // Whether something else is typed.
  get under_way() {
    return this.box.value.trim() !== this.answer;
  }

  called(text) {
    return this.choices.find((each) => each.option.text === text);
  }

  // What the list offers: all, with the answer first; or what is searched for, the best first and another one last.
  offered() {
    if (!this.under_way) {
      const chosen = this.list.selectedOptions[0]?.text;
      return [chosen, ...this.choices.map((each) => each.option.text).filter((text) => text !== chosen)];
    }
    const text = plainly(this.box.value);
    return this.choices
      .map((each) => ({ each, place: text ? each.best(text).place : 3 }))
      .filter(({ each, place }) => place < 3 || each.another)
      .sort((one, other) => one.each.another - other.each.another || one.place - other.place)
      .map(({ each }) => each.option.text);
  }

  // A choice as the list shows it, with the other name by which it was found.
  suggested(text) {
    const choice = this.called(text);
    const typed = plainly(this.box?.value ?? "");
    const name = choice && typed && this.under_way ? choice.best(typed).name : undefined;
    return escaped(name && name !== text ? `${text} (${name})` : text);
  }

  // What a text can mean: what is called that, or what has a word that begins so.
  meant(typed) {
    const text = plainly(typed);
    const found = (place) => this.choices.filter((each) => text && each.best(text).place === place);
    const same = found(0);
    const none = same.find((each) => each.blank);
    return none ? [none] : same.length ? same : found(1);
  }

  // Somebody goes on: what they typed is the answer, or is asked about.
  settle() {
    const typed = this.box.value.trim();
    if (!this.under_way) {
      this.ask("");
      return;
    }
    const found = typed ? this.meant(typed) : this.choices.filter((each) => each.blank);
    if (found.length === 1) {
      this.take(found[0]);
      return;
    }
    const another = this.choices.find((each) => each.another)?.option.text;
    const asked = found.length
      ? `“${typed}” could be several answers: choose one from the list`
      : `Nothing in the list is called “${typed}”: choose one${another ? `, or choose “${another}”` : " from the list"}`;
    // What was answered before stays until there is another answer, or the box is emptied.
    this.ask(this.answer ? `${asked}; until then “${this.answer}” stays recorded` : asked);
  }

  take(choice) {
    this.ask("");
    this.give(choice.option.value);
    this.write();
  }

  give(value) {
    if (this.list.value !== value) {
      this.list.value = value;
      this.list.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }

  // Show the answer in the box. The component is told as if somebody had typed it, and opens no list for that.
  write() {
    this.writing = true;
    this.box.value = this.answer;
    this.box.dispatchEvent(new Event("input"));
    this.writing = false;
  }

  // Ask beside the box what was meant, or ask nothing.
  ask(question) {
    this.open = question !== "";
    if (this.told.textContent.endsWith(question) && this.open === this.told.hasChildNodes()) {
      return;
    }
    this.told.innerHTML = this.open
      ? `<p class="govuk-error-message"><span class="govuk-visually-hidden">Error:</span> ${escaped(question)}</p>`
      : "";
    if (this.open) {
      this.box.setAttribute("aria-describedby", this.told.id);
    } else if (this.box.getAttribute("aria-describedby") === this.told.id) {
      this.box.removeAttribute("aria-describedby");
    }
    this.box.setAttribute("aria-invalid", this.open);
    mark(this.list.closest(".govuk-form-group"));
  }

  key(event) {
    const option = event.target.closest("[role=option]");
    if (event.key === "Tab" && option) {
      // The box that this answer opens is there before the browser looks where to go.
      this.give(this.called(this.lines[[...option.parentElement.children].indexOf(option)]).option.value);
    } else if (event.key === "Tab") {
      this.settle();
    } else if (event.key === "Enter" && !option && this.box.getAttribute("aria-expanded") === "true") {
      event.preventDefault();
      const [only, ...others] = this.meant(this.box.value);
      const line = only && !others.length ? this.lines.indexOf(only.option.text) : -1;
      const shown = document.getElementById(`${this.box.id}__option--${line}`);
      shown ? shown.click() : this.settle();
    } else if (event.key === "Escape" && option) {
      this.box.focus(); // nothing is taken of what was only looked at
    }
  }
}

function escaped(text) {
  const element = document.createElement("span");
  element.textContent = text ?? "";
  return element.innerHTML;
}

// Choose of a list, be it searched or not.
function choose(list, value) {
  list.value = value;
  searched.get(list)?.write();
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
        const searching = lists(question).some((each) => each.under_way);
        if (!searching && JSON.stringify(boxes(question)) === JSON.stringify(sent[number])) {
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
        this.leaving = !stays(this.form);
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
  if (!text) {
    error?.remove();
    mark(group);
    return;
  }
  if (!error) {
    error = document.createElement("p");
    error.id = `${header}-error`;
    error.className = "govuk-error-message";
    const first = group.querySelector(".govuk-hint, [role=alert], .govuk-radios, .govuk-date-input, .govuk-input, .govuk-select");
    (first.classList.contains("govuk-hint") ? first.after(error) : first.before(error));
    const described = group.querySelector("fieldset") ?? group.querySelector("input, select");
    described.setAttribute("aria-describedby", `${described.getAttribute("aria-describedby") ?? ""} ${error.id}`.trim());
  }
  if (error.dataset.said !== text) {
    error.dataset.said = text;
    error.innerHTML = `<span class="govuk-visually-hidden">Error:</span> ${escaped(text)}`;
  }
  mark(group);
}

// Mark a question about which something is said.
function mark(group) {
  group.classList.toggle("govuk-form-group--error", group.querySelector(".govuk-error-message") !== null);
}

for (const form of document.querySelectorAll("form[data-entry]")) {
  setUp(form);
}
