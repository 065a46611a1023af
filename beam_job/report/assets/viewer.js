// One image, large: all its captions, and where the model looked for each word.

const VIEWER = { item: null, caption: null, word: -1, opener: null };

VIEWER.open = (item) => {
  const dialog = find("viewer");
  VIEWER.item = item;
  VIEWER.word = -1;
  VIEWER.caption = latest(item);
  drawViewer();
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
};

VIEWER.step = (by) => {
  const place = GALLERY.shown.indexOf(VIEWER.item) + by;
  if (place >= 0 && place < GALLERY.shown.length) VIEWER.open(GALLERY.shown[place]);
};

function drawViewer() {
  const item = VIEWER.item;
  const place = GALLERY.shown.indexOf(item);
  find("viewer").replaceChildren(
    el("div", { class: "viewer-bar" },
      el("h2", { id: "viewer-title" }, outside(fileName(item.uri))),
      el("span", { class: "dim" }, `${place + 1} of ${GALLERY.shown.length}`),
      el("button", { type: "button", class: "icon", id: "previous", "aria-label": "Previous image", disabled: place <= 0, onclick: () => VIEWER.step(-1) }, "‹"),
      el("button", { type: "button", class: "icon", id: "next", "aria-label": "Next image", disabled: place >= GALLERY.shown.length - 1, onclick: () => VIEWER.step(1) }, "›"),
      el("button", { type: "button", class: "icon", id: "close", "aria-label": "Close", onclick: () => find("viewer").close() }, "×")),
    el("div", { class: "viewer-body" },
      el("div", { class: "stage" }, item.image
        ? frame(item, el("img", { src: item.image, alt: `The image captioned “${VIEWER.caption.text}”`, width: item.width, height: item.height }), el("canvas", { id: "attention", hidden: true, role: "img" }))
        : picture(item)),
      el("div", { class: "details" },
        item.captions.map((captions, run) => el("div", {}, COMPARING && el("h3", {}, badge(run), " ", nameOf(DATA.runs[run])),
          captions.map((caption, rank) => captionBlock(caption, rank, run, item.verdicts[run])),
          item.labels[run].length > 0 && seen(item.labels[run]))),
        el("dl", { class: "facts" },
          fact("Name", outside(item.uri, { class: "path" })),
          Object.entries(item.carried).map(([name, value]) => fact(outside(name), outside(value))),
          fact("Size", `${number(item.width)} × ${number(item.height)} pixels`),
          fact("Score", score(VIEWER.caption.score)),
          fact("Weakest word", score(VIEWER.caption.min_log_prob))))));
}

/** The picture's own frame, as large as fits: its shape is known before the picture is decoded. */
function frame(item, ...children) {
  const made = el("div", { class: "frame" }, ...children);
  made.style.setProperty("--ratio", String(item.width / item.height));
  return made;
}

const fact = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));

function captionBlock(caption, rank, run, verdict) {
  const first = run + rank === 0;
  const text = rank === 0 ? el("p", { class: "caption", dir: "auto" }, caption.text) : el("p", { class: "other", dir: "auto" }, caption.text);
  return el("div", { class: "block" }, text,
    sureness(caption, run, rank === 0 && verdict),
    caption.attention && VIEWER.item.image || caption.log_probs ? wordRow(caption, first) : null);
}

/** The caption's words as one toolbar: arrow keys, pointer or touch choose the word whose attention is shown. */
function wordRow(caption, first) {
  const tokens = [...caption.tokens, ...(caption.ended === false ? [] : ["end"])];
  const buttons = tokens.map((token, i) => {
    const likely = caption.log_probs ? Math.exp(caption.log_probs[i]) : null;
    const button = el("button", {
      type: "button", class: i < caption.tokens.length ? "word" : "word end", tabindex: i === 0 ? "0" : "-1", "aria-pressed": "false", dir: "auto",
      "aria-label": likely === null ? token : `${token}, ${percent(likely)}`,
      onclick: () => choose(i), onfocus: () => choose(i), onpointerenter: (event) => event.pointerType === "mouse" && choose(i),
    }, token, likely !== null && el("small", {}, percent(likely)));
    if (likely !== null) button.style.setProperty("--hue", String(Math.round(20 + 150 * likely)));
    return button;
  });
  const choose = (i) => {
    for (const other of document.querySelectorAll(".word")) other.setAttribute("aria-pressed", String(other === buttons[i]));
    buttons.forEach((button, place) => button.setAttribute("tabindex", place === i ? "0" : "-1"));
    VIEWER.caption = caption;
    VIEWER.word = i;
    drawAttention(tokens[i]);
  };
  const keys = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -tokens.length, End: tokens.length };
  const onkeydown = (event) => {
    const by = keys[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const from = buttons.indexOf(document.activeElement);
    buttons[Math.min(Math.max(from + by, 0), buttons.length - 1)].focus();
  };
  return el("div", {},
    first && el("p", { class: "hint dim" }, caption.attention && VIEWER.item.image ? "Where the model looked: point at a word, or use the arrow keys." : "How likely the model found each word."),
    el("div", { class: "words", role: "toolbar", "aria-label": "Words of the caption", onkeydown }, buttons));
}

/** Lays a word's attention over the image. Positions are a square grid over the image as the model saw it, stretched. */
function drawAttention(token) {
  const canvas = find("attention");
  const attention = VIEWER.caption.attention;
  if (!canvas) return;
  canvas.hidden = !attention;
  if (!attention) return;
  const side = attention.side;
  const bytes = atob(attention.maps).slice(VIEWER.word * side * side, (VIEWER.word + 1) * side * side);
  canvas.width = side;
  canvas.height = side;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(side, side);
  for (let i = 0; i < side * side; i++) {
    const weight = bytes.charCodeAt(i) / 255;
    // Unseen places are darkened, the strongest ones warmed; between the two the image stands as it is.
    const dark = Math.max(0, 1 - weight / 0.55);
    const warm = Math.max(0, (weight - 0.55) / 0.45);
    pixels.data.set(warm ? [255, 150, 30, 110 * warm] : [8, 10, 24, 205 * dark], 4 * i);
  }
  context.putImageData(pixels, 0, 0);
  canvas.setAttribute("aria-label", `Attention for “${token}”`);
}

function startViewer() {
  const dialog = find("viewer");
  dialog.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowRight" || event.key === "PageDown") { event.preventDefault(); VIEWER.step(1); }
    if (event.key === "ArrowLeft" || event.key === "PageUp") { event.preventDefault(); VIEWER.step(-1); }
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => GALLERY.cards.get(VIEWER.item)?.querySelector("button").focus());
}

drawHeader();
drawOverview();
drawGallery();
drawCopies();
drawFailures();
drawAbout();
startViewer();
