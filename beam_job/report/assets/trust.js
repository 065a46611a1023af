// How likely captions are right: by what people said of a sample of them, where there is a trust file.

/** The chance that a caption of a run is right by its score; null where nobody has estimated it. */
function chance(run, value) {
  const chances = DATA.runs[run].trust?.chances;
  if (!chances) return null;
  const place = chances.findIndex(([least]) => least >= value);
  if (place <= 0) return chances[place < 0 ? chances.length - 1 : 0][1];
  const [[low, first], [high, second]] = chances.slice(place - 1, place + 1);
  return first + ((second - first) * (value - low)) / (high - low);
}

/** Where a score stands between the lowest, 0, and the highest, 1. It is no chance of being right. */
function level(value) {
  const [lowest, highest] = [DATA.edges[0], DATA.edges[DATA.edges.length - 1]];
  return Math.min(Math.max((value - lowest) / (highest - lowest), 0), 1);
}

/** How far a caption can be trusted: a person's word, the estimated chance, or the bare score. */
function sureness(caption, run, verdict) {
  if (caption.person) return el("span", { class: "certainty" }, el("span", { class: "mark" }, "corrected by a person"));
  if (verdict === "right") return el("span", { class: "certainty" }, el("span", { class: "mark" }, "confirmed by a person"));
  const likely = chance(run, caption.score);
  const about = `Score ${score(caption.score)}: how good the model expects this caption to be, compared with its other captions`;
  return el("span", { class: "certainty" }, meter(likely ?? level(caption.score)),
    el("span", { title: likely === null ? about : `${about}. According to the reviews, this share of the captions with this score is right.` },
      likely === null ? score(caption.score) : `${percent(likely)} likely right`));
}

/** The risk-coverage curve: of the captions from a score on, how many are right, with their interval. */
function curve(run, index) {
  const trust = run.trust;
  if (!trust) return null;
  const rows = trust.thresholds.filter((row) => row.right !== null);
  const least = Math.max(0, Math.floor(Math.min(...rows.map((row) => row.low)) * 10) / 10);
  const [width, height, left, bottom] = [520, 230, 44, 34];
  const x = (row) => left + ((width - left - 12) * row.captions) / trust.captions;
  const y = (share) => 12 + ((height - bottom - 12) * (1 - share)) / (1 - least || 1);
  const path = (points) => points.map(([at, share], i) => `${i ? "L" : "M"}${at.toFixed(1)} ${y(share).toFixed(1)}`).join("");
  const up = rows.map((row) => [x(row), row.high]);
  const down = rows.map((row) => [x(row), row.low]).reverse();
  const lines = [0, 0.5, 1].map((part) => least + part * (1 - least));
  const all = rows[0];
  return el("div", { class: "panel trust" },
    el("h2", {}, badge(index), "How many captions are right"),
    el("p", { class: "sum" }, el("strong", {}, percent(all.right)), ` right (95 % interval: ${percent(all.low)} to ${percent(all.high)}), estimated from ${plural(trust.reviews, "review", "reviews")}`),
    svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Share of right captions among those with the highest scores; the table below has its numbers" },
      lines.map((share) => [
        svg("line", { x1: left, x2: width - 12, y1: y(share), y2: y(share), class: "rule" }),
        svg("text", { x: left - 6, y: y(share) + 4, "text-anchor": "end" }, percent(share)),
      ]),
      svg("path", { d: `${path([...up, ...down])}Z`, class: "band" }),
      svg("path", { d: path(rows.map((row) => [x(row), row.right])), class: "line" }),
      rows.map((row) => svg("circle", { cx: x(row), cy: y(row.right), r: 3 })),
      [0, 0.5, 1].map((part) => svg("text", { x: left + (width - left - 12) * part, y: height - 14, "text-anchor": part ? (part < 1 ? "middle" : "end") : "start" }, `${percent(part)}${part === 1 ? " of the captions" : ""}`))),
    el("details", {}, el("summary", {}, "Table by score"),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Right captions by score" }, el("table", {},
        el("thead", {}, el("tr", {}, ["Score", "Captions", "Right", "95 % interval", "To check"].map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, trust.thresholds.map((row) => el("tr", {}, [
          score(row.score), number(row.captions), percent(row.right), `${percent(row.low)} to ${percent(row.high)}`, number(trust.captions - row.captions),
        ].map((text) => el("td", {}, text)))))))));
}

/** What people's reviews changed, in a sentence. */
function reviewed(run) {
  const said = [
    run.corrected && `${plural(run.corrected, "caption was", "captions were")} corrected by people`,
    run.wrong && `${plural(run.wrong, "caption was", "captions were")} marked as wrong and left out of this page`,
  ].filter(Boolean);
  return said.length ? `${said.join(", ")}.` : null;
}
