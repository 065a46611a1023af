// The run: counts, figures, scores, failures, options.

const COMPARING = DATA.runs.length > 1;
const LABELS = ["A", "B"];

function drawHeader() {
  const run = DATA.runs[DATA.runs.length - 1];
  const title = COMPARING ? "Two runs compared" : run.runs ? "Captions of a folder" : "Captions of a run";
  document.title = `${title} · ${DATA.runs.map(nameOf).join(" and ")}`;
  const verdict = run.complete
    ? `${plural(run.counts.captioned, "image", "images")} captioned, ${plural(run.failed, "failure", "failures")}`
    : `${run.runs ? "The newest" : "This"} run has not finished: these are the results so far`;
  fill(find("header"),
    el("div", {},
      el("p", { class: "eyebrow" }, COMPARING ? "Comparison" : "Report"),
      el("h1", {}, title),
      COMPARING
        ? DATA.runs.map((one, i) => el("p", { class: "lede" }, badge(i), " ", outside(one.directory, { class: "path" })))
        : el("p", { class: "lede" }, verdict, el("br"), outside(run.directory, { class: "path" }))),
    el("nav", { "aria-label": "Sections" },
      [["overview", "Overview"], ["gallery", "Images"], ["failures", "Failures"], ["about", "Run"]].map(([id, text]) =>
        el("a", { href: `#${id}` }, text))));
}

/** A run's id; of a folder, how many runs are in it. */
const nameOf = (run) => (run.runs ? plural(run.runs, "run", "runs") : run.id);

const badge = (index) => COMPARING && el("span", { class: `badge run-${LABELS[index]}` }, LABELS[index]);

function drawOverview() {
  const notices = [];
  DATA.runs.forEach((run, index) => {
    if (run.warning) notices.push(el("p", { class: "notice warning", role: "note" }, badge(index), " ", run.warning));
    if (!run.complete) notices.push(el("p", { class: "notice warning", role: "note" }, badge(index), ` ${run.runs ? "The newest" : "This"} run has no manifest: it is still running, or it was stopped.${run.runs ? "" : " An image may appear twice."}`));
    if (reviewed(run)) notices.push(el("p", { class: "notice", role: "note" }, badge(index), " ", reviewed(run)));
    for (const problem of run.problems) notices.push(el("p", { class: "notice warning", role: "note" }, badge(index), " ", outside(problem)));
  });
  fill(find("overview"),
    ...notices,
    el("div", { class: "panels" },
      el("div", { class: "panel" }, el("h2", {}, "Every image accounted for"), DATA.runs.map(countsOf)),
      el("div", { class: "panel" }, el("h2", {}, "Scores"), histogram()),
      DATA.runs.map(curve)),
    COMPARING ? comparison() : tiles(DATA.runs[0]),
    DATA.runs.map(repeatedCaptions));
}

const PARTS = ["captioned", "failed", "skipped", "duplicates", "pruned"];

function countsOf(run, index) {
  const counts = Object.entries(run.counts).filter(([name]) => name !== "input");
  counts.sort(([a], [b]) => PARTS.indexOf(a) - PARTS.indexOf(b));
  const total = run.counts.input ?? counts.reduce((sum, [, count]) => sum + count, 0);
  const bar = el("div", { class: "stack", "aria-hidden": "true" });
  for (const [name, count] of counts) {
    const part = el("span", { class: `part-${name}` });
    part.style.flexGrow = String(count);
    if (count) bar.append(part);
  }
  return el("div", { class: "counts" },
    el("p", { class: "sum" }, badge(index), " ", el("strong", {}, number(total)), run.runs ? ` images in ${nameOf(run)}` : run.complete ? " images read" : " images so far"),
    bar,
    el("ul", { class: "legend" }, counts.map(([name, count]) =>
      el("li", {}, el("span", { class: `dot part-${name}`, "aria-hidden": "true" }), el("strong", {}, number(count)), ` ${name} `,
        el("span", { class: "dim" }, total ? percent(count / total) : "")))));
}

/** The figures of a run: [name, value, explanation]. */
function figures(run) {
  return [
    ...(run.trust ? [["Right captions", percent(run.trust.thresholds[0].right), `of all, by ${plural(run.trust.reviews, "review", "reviews")} until ${run.trust.time.slice(0, 10)}`]] : []),
    ["Median score", score(run.median_score), `How good the model expects its captions to be: the higher, the better.${run.trust ? "" : " Reviews show how many captions are right."}`],
    ["Different captions", percent(run.captioned ? run.distinct / run.captioned : null), `${run.distinct_exact ? "" : "about "}${number(run.distinct)} different captions for ${number(run.captioned)} images`],
    ["Words in a caption", run.mean_words === null ? "–" : run.mean_words.toFixed(1), run.cut_off ? `${plural(run.cut_off, "caption was", "captions were")} cut off at the maximum length` : "no caption was cut off"],
    ...(run.runs ? [] : [["Speed", rate(run), `${duration(run.seconds)} from start to end, ${(run.devices || []).join(", ") || "device unknown"}`]]),
  ];
}

function tiles(run) {
  return el("dl", { class: "tiles" }, figures(run).map(([name, value, text]) =>
    el("div", { class: "tile" }, el("dt", {}, name), el("dd", {}, el("strong", {}, value), el("span", { class: "dim" }, text)))));
}

/** The captions that came back most often; pressing one shows its images. */
function repeatedCaptions(run, index) {
  const often = run.repeated.filter(({ count }) => count > 2 && count >= REPEATED_SHARE * run.captioned);
  return often.length > 0 && el("details", { class: "repeated" },
    el("summary", {}, badge(index), el("span", {}, "Most frequent captions")),
    el("ul", {}, often.map(({ text, count }) => el("li", {}, el("strong", { class: "count" }, number(count)),
      el("button", { type: "button", class: "link", dir: "auto", onclick: () => GALLERY.search(text) }, text)))));
}

function comparison() {
  const { both, same, only } = DATA.changes;
  const all = DATA.runs.map((run) => new Map(figures(run)));
  const rows = [
    ["Captioned", ...DATA.runs.map((run) => number(run.captioned))],
    ["Failed", ...DATA.runs.map((run) => number(run.failed))],
    ...[...new Set([...all[0].keys(), ...all[1].keys()])].map((name) => [name, ...all.map((figure) => figure.get(name) ?? "–")]),
    ...settings().filter(([, a, b]) => a !== b),
  ];
  return el("div", { class: "comparison" },
    el("p", { class: "lede" },
      el("strong", {}, percent(both ? 1 - same / both : null)), ` of the ${number(both)} images that both runs captioned have a different caption in B (${number(both - same)}). `,
      only[0] || only[1] ? `${number(only[0])} images are only in A, ${number(only[1])} only in B.` : ""),
    DATA.runs[0].model !== DATA.runs[1].model && el("p", { class: "notice", role: "note" }, "The runs used different models, whose scores are not comparable: a higher score does not mean a better caption. Compare the pairs."),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "What changed" }, el("table", {},
      el("caption", {}, "What changed"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, ""), LABELS.map((label, i) => el("th", { scope: "col" }, badge(i))))),
      el("tbody", {}, rows.map(([name, a, b]) => el("tr", { class: a === b ? null : "changed" }, el("th", { scope: "row" }, name), el("td", {}, outside(a)), el("td", {}, outside(b))))))));
}

/** Bars of the score's histogram; pressing one shows its images in the gallery. */
function histogram() {
  const edges = DATA.edges;
  const most = Math.max(1, ...DATA.runs.flatMap((run) => run.histogram));
  const bars = edges.slice(0, -1).map((low, i) => {
    const counts = DATA.runs.map((run) => run.histogram[i]);
    const range = `${score(low)} to ${score(edges[i + 1])}`;
    const label = `Score ${range}: ${counts.map((count, r) => plural(count, "image", "images") + (COMPARING ? ` in ${LABELS[r]}` : "")).join(", ")}`;
    const button = el("button", { type: "button", class: "bar", "aria-pressed": "false", "aria-label": label, title: label, "data-bar": i, onclick: () => GALLERY.toggleBar(i) },
      counts.map((count, r) => {
        const column = el("span", { class: `column run-${LABELS[r]}` });
        column.style.height = count ? `max(3px, ${(100 * count) / most}%)` : "0";
        column.style.setProperty("--hue", String(Math.round(20 + 150 * level((low + edges[i + 1]) / 2))));
        return column;
      }));
    button.disabled = counts.every((count) => count === 0);
    return button;
  });
  return el("div", { class: `histogram${COMPARING ? " two" : ""}` },
    el("div", { class: "bars", role: "group", "aria-label": "Images by score; press a bar to see its images" }, bars),
    el("div", { class: "axis", "aria-hidden": "true" }, [0, 0.25, 0.5, 0.75, 1].map((place) => {
      const value = edges[0] + place * (edges[edges.length - 1] - edges[0]);
      return el("span", {}, score(value));
    })),
    el("p", { class: "dim" }, "← lower score", el("span", { class: "right" }, "higher score →")));
}

/** How many photos are copies of each other, and the largest groups. */
function drawCopies() {
  const found = DATA.copies;
  if (!found || !found.largest.length) return;
  const kinds = [["copies", "the same file"], ["near_copies", "pictures that look alike"]];
  fill(find("copies"),
    el("h2", { id: "copies-title" }, "Copies"),
    el("p", { class: "dim" }, kinds.filter(([kind]) => found[kind].groups).map(([kind, text]) =>
      `${plural(found[kind].groups, "group", "groups")} of ${text}, ${plural(found[kind].images, "image", "images")} in all. `)),
    el("div", { class: "failures" }, found.largest.map(({ kind, count, images }) =>
      el("details", {},
        el("summary", {}, el("strong", { class: "count" }, number(count)), kinds.find(([name]) => name === kind)[1]),
        el("ul", { class: "cards" }, images.map((item) => el("li", {}, picture(item), outside(item.uri, { class: "path" })))),
        count > images.length && el("p", { class: "dim" }, `and ${number(count - images.length)} more; --groups FILE lists them all`)))));
}

function drawFailures() {
  const section = find("failures");
  fill(section, el("h2", { id: "failures-title" }, "Failures"));
  DATA.runs.forEach((run, index) => {
    if (!run.failures.length) {
      fill(section, el("p", { class: "dim" }, badge(index), " None: every image was captioned."));
      return;
    }
    fill(section, el("div", { class: "failures" }, run.failures.map(({ code, count, examples }) =>
      el("details", {},
        el("summary", {}, badge(index), el("strong", { class: "count" }, number(count)), outside(code, { class: "code" }), el("span", { class: "dim" }, DATA.meanings[code] || "")),
        el("ul", {}, examples.map(({ uri, message }) => el("li", {}, outside(uri, { class: "path" }), el("br"), outside(message, { class: "dim" })))),
        count > examples.length && el("p", { class: "dim" }, `and ${number(count - examples.length)} more in the run's failures-*.jsonl`)))));
    fill(section, el("p", { class: "dim" }, "Running the same command again tries these images again."));
  });
}

/** [name, value in A, value in B] of everything that a run was made with. */
function settings() {
  const all = DATA.runs.map((run) => ({
    model: run.model, ...run.options, "device": (run.devices || []).join(", "),
    ...Object.fromEntries(Object.entries(run.versions || {}).map(([name, value]) => [`version of ${name}`, value])),
  }));
  const names = [...new Set(all.flatMap(Object.keys))];
  const text = (value) => (value === null || value === undefined || value === "" ? "–" : value === true ? "yes" : value === false ? "no" : String(value));
  return names.map((name) => [name.replace("decoding.", "").replaceAll("_", " "), ...all.map((one) => text(one[name]))]);
}

function drawAbout() {
  fill(find("about"),
    el("h2", { id: "about-title" }, COMPARING ? "The runs" : DATA.runs[0].runs ? "The runs of the folder" : "The run"),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Options and versions" }, el("table", {},
      COMPARING && el("thead", {}, el("tr", {}, el("th", {}), DATA.runs.map((run, i) => el("th", { scope: "col" }, badge(i))))),
      el("tbody", {},
        ["id", "runs", "started", "finished"].filter((name) => DATA.runs.some((run) => run[name])).map((name) => el("tr", {}, el("th", { scope: "row" }, name), DATA.runs.map((run) => el("td", {}, outside(String(run[name] ?? "–")))))),
        settings().map(([name, ...values]) => el("tr", {}, el("th", { scope: "row" }, name), values.map((value) => el("td", {}, outside(value)))))))));
}
