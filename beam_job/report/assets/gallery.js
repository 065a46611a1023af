// The images: search, filter, sort.

const REPEATED = new Map(DATA.runs.flatMap((run) => run.repeated.map(({ text, count }) => [text, count])));
const REPEATED_SHARE = 0.02; // of the captioned images, from which a repeated caption is worth a mark
const latest = (item) => item.captions[item.captions.length - 1][0];
const changed = (item) => COMPARING && item.captions[0][0].text !== item.captions[1][0].text;
const difference = (item) => latest(item).score - item.captions[0][0].score;
const repeats = (item) => {
  const count = REPEATED.get(latest(item).text) || 0;
  return count > 2 && count >= REPEATED_SHARE * DATA.runs[DATA.runs.length - 1].captioned ? count : 0;
};

const SORTS = {
  ...(COMPARING ? {
    change: ["Greatest change of score", (item) => (changed(item) ? -Math.abs(difference(item)) : 1)],
    loss: ["Lower score in B first", (item) => difference(item)],
    gain: ["Higher score in B first", (item) => -difference(item)],
  } : {}),
  least: ["Lowest score first", (item) => latest(item).score],
  most: ["Highest score first", (item) => -latest(item).score],
  word: ["Weakest single word first", (item) => latest(item).min_log_prob ?? 0],
  short: ["Shortest caption first", (item) => latest(item).text.length],
  long: ["Longest caption first", (item) => -latest(item).text.length],
  name: ["By name", null],
};

const FILTERS = {
  all: ["All images", () => true],
  ...(COMPARING ? { changed: ["Different caption in B", changed], same: ["The same caption", (item) => !changed(item)] } : {}),
  chosen: [COMPARING ? "Greatest changes" : "Lowest scores of the run", (item) => item.chosen],
  random: ["Random sample", (item) => !item.chosen],
  repeated: ["Repeated captions", (item) => repeats(item) > 0],
  cut: ["Cut off", (item) => latest(item).ended === false],
  missing: ["No picture", (item) => !item.image],
};

const GALLERY = { bar: null, shown: [], cards: new Map() };
const ITEMS = DATA.items.filter((item) => item.captions.every((captions) => captions.length));

GALLERY.toggleBar = (index) => {
  GALLERY.bar = GALLERY.bar === index ? null : index;
  GALLERY.update();
};

/** Shows the images whose captions, labels or name hold the words of `text`. */
GALLERY.search = (text) => {
  find("search").value = text;
  GALLERY.bar = null;
  GALLERY.update();
  find("gallery").scrollIntoView();
  find("search").focus({ preventScroll: true });
};

GALLERY.update = () => {
  const words = find("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = FILTERS[find("filter").value][1];
  const key = SORTS[find("sort").value][1];
  const inBar = (item) => {
    if (GALLERY.bar === null) return true;
    const edges = DATA.edges;
    const last = edges.length - 2;
    const place = Math.floor((latest(item).score - edges[0]) / (edges[1] - edges[0]) + 1e-9);
    return Math.min(Math.max(place, 0), last) === GALLERY.bar;
  };
  const matches = (item) => {
    const texts = [item.uri, ...item.captions.flat().map((caption) => caption.text), ...item.labels.flat().map(({ label }) => label)];
    const text = texts.join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  };
  GALLERY.shown = ITEMS.filter((item) => wanted(item) && inBar(item) && matches(item));
  const byName = (a, b) => (a.uri < b.uri ? -1 : a.uri > b.uri ? 1 : 0);
  GALLERY.shown.sort((a, b) => (key ? key(a) - key(b) : 0) || byName(a, b));
  find("cards").replaceChildren(...GALLERY.shown.map(card));
  find("none").hidden = GALLERY.shown.length > 0;
  for (const button of document.querySelectorAll("[data-bar]")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.bar) === GALLERY.bar));
  }
  find("bar-off").hidden = GALLERY.bar === null;
  find("shown").textContent = `${plural(GALLERY.shown.length, "image", "images")} shown`;
};

function drawGallery() {
  const counts = (filter) => ITEMS.filter(filter).length;
  const option = ([value, [text, filter]]) => el("option", { value }, filter === FILTERS[value]?.[1] ? `${text} (${number(counts(filter))})` : text);
  const { of, chosen, seed } = DATA.sample;
  const sampled = of > ITEMS.length;
  fill(find("gallery"),
    el("h2", { id: "gallery-title" }, "Images"),
    sampled && el("p", { class: "dim" },
      `${number(ITEMS.length)} of ${number(of)} images are on this page: the ${number(chosen)} ${COMPARING ? "whose score changed most" : "with the lowest scores"} and ${number(ITEMS.length - chosen)} chosen at random (seed ${seed}). The figures above are for all images; the search covers only these ${number(ITEMS.length)}.`),
    el("div", { class: "controls", role: "search" },
      el("label", { class: "grow" }, el("span", {}, sampled ? "Search the images on this page" : "Search"), el("input", { type: "search", id: "search", placeholder: "words of a caption or a name", autocomplete: "off", spellcheck: "false", oninput: GALLERY.update })),
      el("label", {}, el("span", {}, "Show"), el("select", { id: "filter", onchange: GALLERY.update },
        Object.entries(FILTERS).filter(([name, [, filter]]) => name === "all" || (counts(filter) > 0 && (sampled || !["chosen", "random"].includes(name)))).map(option))),
      el("label", {}, el("span", {}, "Sort"), el("select", { id: "sort", onchange: GALLERY.update }, Object.entries(SORTS).map(([value, [text]]) => el("option", { value }, text))))),
    el("p", { class: "status" },
      el("span", { id: "shown", role: "status", "aria-live": "polite" }),
      el("button", { type: "button", id: "bar-off", class: "link", hidden: true, onclick: () => GALLERY.toggleBar(GALLERY.bar) }, "Show all scores")),
    el("ul", { id: "cards", class: "cards" }),
    el("p", { id: "none", class: "empty", hidden: true }, ITEMS.length ? "No image matches. Try fewer words or “All images”." : "There is no captioned image to show."));
  GALLERY.update();
}

function card(item) {
  if (!GALLERY.cards.has(item)) GALLERY.cards.set(item, makeCard(item));
  return GALLERY.cards.get(item);
}

function makeCard(item) {
  const count = repeats(item);
  const marks = [
    count ? el("span", { class: "mark" }, `same caption × ${number(count)}`) : null,
    latest(item).ended === false ? el("span", { class: "mark" }, "cut off") : null,
    COMPARING && !changed(item) ? el("span", { class: "mark quiet" }, "unchanged") : null,
  ];
  return el("li", {}, el("button", { type: "button", class: "card", onclick: () => VIEWER.open(item) },
    picture(item),
    item.captions.map((captions, run) => el("span", { class: "line" },
      el("span", { class: "text", dir: "auto" }, badge(run), COMPARING && " ", COMPARING ? words(item, run) : captions[0].text),
      sureness(captions[0], run, item.verdicts[run]),
      item.labels[run].length > 0 && seen(item.labels[run]))),
    el("span", { class: "foot" }, outside(fileName(item.uri), { class: "name", title: item.uri }), marks)));
}

function picture(item) {
  if (!item.image) return el("span", { class: "picture missing" }, el("span", {}, "No picture: ", outside(item.why)));
  return el("span", { class: "picture" }, el("img", { src: item.image, alt: "", loading: "lazy", decoding: "async", width: item.width, height: item.height }));
}

/** The words of a caption; those that the other run's caption lacks are marked. */
function words(item, run) {
  const plain = (word) => word.toLowerCase().replace(/[.,]$/, "");
  const others = new Set(item.captions[1 - run][0].text.split(" ").map(plain));
  return item.captions[run][0].text.split(" ").flatMap((word) => [others.has(plain(word)) ? word : el("mark", {}, word), " "]);
}
