// One photo at a time: its caption, and what a person says of it by keyboard, mouse or touch.

const VIEW = { place: 0 };
const item = () => DATA.items[VIEW.place];

/** Captions to choose from: the model's others, and the one that was shown where it is corrected. */
const choices = () => (WORK.reviews.get(item().key)?.verdict === "corrected" ? [item().caption, ...item().others].slice(0, 9) : item().others);

/** The first photo from a place on that has no verdict; behind the last one where all have one. */
function open_place(from) {
  const order = [...DATA.items.keys()].map((step) => (from + step) % DATA.items.length);
  return order.find((place) => !WORK.reviews.has(DATA.items[place].key)) ?? DATA.items.length;
}

function show(place) {
  VIEW.place = Math.min(Math.max(place, 0), DATA.items.length);
  find("photo").replaceChildren(...(VIEW.place < DATA.items.length ? photo(item()) : end()));
  if (VIEW.place < DATA.items.length) drawEnter();
  drawProgress();
}

function drawProgress() {
  const count = WORK.reviews.size;
  find("progress").max = DATA.items.length;
  find("progress").value = count;
  find("place").textContent = VIEW.place < DATA.items.length
    ? `Photo ${number(VIEW.place + 1)} of ${number(DATA.items.length)} · ${number(count)} reviewed`
    : `${number(count)} of ${number(DATA.items.length)} reviewed`;
  find("download").disabled = count === 0;
  find("notice").hidden = WORK.unkept.size === 0;
}

function photo(shown) {
  const review = WORK.reviews.get(shown.key);
  const field = el("textarea", {
    id: "caption", rows: 2, maxlength: DATA.longest, dir: "auto", spellcheck: "true", "aria-label": "Caption", onkeydown: onFieldKey, oninput: drawEnter,
  });
  field.defaultValue = review?.verdict === "corrected" ? review.caption : shown.caption;
  const button = (id, key, text, onclick) => el("button", { type: "button", id, class: `act ${id}`, "aria-pressed": String(review?.verdict === id), onclick },
    el("span", {}, text), el("kbd", { "aria-hidden": "true" }, key));
  return [
    el("div", { class: "stage" }, shown.image
      ? el("img", { src: shown.image, alt: "The photo to review", width: shown.width, height: shown.height })
      : el("p", { class: "missing" }, "No picture: ", outside(shown.why))),
    el("div", { class: "side" },
      el("p", { class: "path" }, outside(shown.uri)),
      field,
      shown.labels && el("p", {}, seen(shown.labels)),
      el("p", { class: "dim" }, "Edit the caption and press Enter. Escape cancels."),
      choices().length > 0 && el("div", { class: "others" }, el("p", { class: "dim" }, "Other captions of the model:"),
        choices().map((text, i) => el("button", { type: "button", class: "other", dir: "auto", onclick: () => choose(i) }, el("kbd", { "aria-hidden": "true" }, i + 1), " ", text))),
      el("div", { class: "acts" },
        button("right", "R", "Right", enter),
        button("corrected", "E", "Edit", () => (edited() ? enter() : edit())),
        button("wrong", "W", "Wrong", () => say("wrong")),
        button("skipped", "S", "Skip", () => say("skipped")),
        button("back", "B", "Back", () => show(VIEW.place - 1)))),
  ];
}

function end() {
  const left = DATA.items.length - WORK.reviews.size;
  const counts = VERDICTS.map((verdict) => [verdict, [...WORK.reviews.values()].filter((review) => review.verdict === verdict).length]);
  return [el("div", { class: "end" },
    el("h2", {}, left ? `${plural(left, "photo has", "photos have")} no verdict yet` : "All photos are reviewed"),
    el("p", {}, counts.filter(([, count]) => count).map(([verdict, count]) => `${number(count)} ${verdict}`).join(", ")),
    el("p", {}, "Download the reviews, and add them with ", el("code", {}, "python -m beam_job.review DIR --add reviews-*.jsonl"), ", or send the file to whoever sent you this page."),
    el("div", { class: "acts" },
      el("button", { type: "button", class: "act right", onclick: download }, el("span", {}, "Download"), el("kbd", { "aria-hidden": "true" }, "D")),
      el("button", { type: "button", class: "act back", onclick: () => show(VIEW.place - 1) }, el("span", {}, "Back"), el("kbd", { "aria-hidden": "true" }, "B"))))];
}

function say(verdict, caption = null) {
  WORK.set(item(), verdict, caption);
  find("status").textContent = `${fileName(item().uri)}: ${verdict}.`;
  show(open_place(VIEW.place));
  find("photo").focus({ preventScroll: true });
}

function edit() {
  const field = find("caption");
  field.focus();
  field.select();
}

function choose(index) {
  const field = find("caption");
  field.value = choices()[index];
  drawEnter();
  field.focus();
}

/** The caption as it stands in the field: the one that was shown is right, another one corrects it. */
function enter() {
  const text = one_line(find("caption").value);
  if (!edited()) say("right");
  else if (text) say("corrected", text);
  else find("status").textContent = "The caption is empty. Write one, or press Wrong.";
}

const edited = () => one_line(find("caption").value) !== one_line(item().caption);

function drawEnter() {
  find("corrected").querySelector("span").textContent = edited() ? "Save" : "Edit";
  find("corrected").querySelector("kbd").textContent = edited() ? "⏎" : "E";
}

function onFieldKey(event) {
  if (event.isComposing) return;
  if (event.key === "Enter") {
    event.preventDefault();
    if (!event.repeat) enter();
  } else if (event.key === "Escape") {
    show(VIEW.place);
    find("photo").focus({ preventScroll: true });
  }
}

function download() {
  WORK.download();
  find("status").textContent = `${plural(WORK.reviews.size, "review", "reviews")} downloaded.`;
}

/** The key as a letter of the Latin alphabet, by its place where the keyboard has another one. */
const letter = (event) => (/^[\x20-\x7e]$/.test(event.key) ? event.key.toLowerCase() : event.code.startsWith("Key") ? event.code[3].toLowerCase() : event.key);

function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.repeat || event.isComposing) return;
  if (/^(TEXTAREA|INPUT)$/.test(event.target.tagName)) return;
  const there = VIEW.place < DATA.items.length;
  const keys = {
    b: () => show(VIEW.place - 1),
    ArrowLeft: () => show(VIEW.place - 1),
    ArrowRight: () => show(VIEW.place + 1),
    d: () => WORK.reviews.size && download(),
    ...(there && { r: enter, e: edit, w: () => say("wrong"), s: () => say("skipped") }),
  };
  const key = letter(event);
  const other = there && /^[1-9]$/.test(key) && choices()[Number(key) - 1] !== undefined;
  if (!other && !keys[key]) return;
  event.preventDefault();
  other ? choose(Number(key) - 1) : keys[key]();
}

/** Takes up what another tab with this page kept; a caption that is being edited here stays as it is. */
function follow() {
  WORK.load();
  if (document.activeElement !== find("reviewer")) find("reviewer").value = WORK.reviewer;
  const field = find("caption");
  if (field && (field === document.activeElement || field.value !== field.defaultValue)) drawProgress();
  else show(VIEW.place);
}

WORK.ready().then(() => {
  WORK.load();
  find("reviewer").value = WORK.reviewer;
  find("reviewer").addEventListener("input", (event) => WORK.name(event.target.value.trim()));
  find("download").addEventListener("click", download);
  document.addEventListener("keydown", onKey);
  addEventListener("storage", (event) => {
    if (event.key === null || event.key.startsWith(KEY)) follow(); // null: everything was deleted
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) follow(); // the browser shows a page that slept: it heard of nothing
  });
  addEventListener("beforeunload", (event) => {
    if (WORK.unkept.size && !WORK.downloaded) event.preventDefault();
  });
  show(open_place(0));
});
