// The work: one verdict a photo, kept in this browser under the page's identity, saved by a download.

const KEY = `beam_job.review.${DATA.identity}`;
const VERDICTS = ["right", "corrected", "wrong", "skipped"];
const WORK = { reviewer: "", reviews: new Map(), kept: true, downloaded: true };

const one_line = (text) => text.replace(/\s+/g, " ").trim();

/** Takes up what this browser kept; what is not as this page writes it is passed over. */
WORK.load = () => {
  let kept = null;
  try {
    kept = JSON.parse(localStorage.getItem(KEY));
  } catch {
    // nothing that can be taken up
  }
  WORK.reviews.clear();
  WORK.reviewer = typeof kept?.reviewer === "string" ? kept.reviewer : "";
  const uris = new Set(DATA.items.map((item) => item.uri));
  for (const [uri, review] of Array.isArray(kept?.reviews) ? kept.reviews.filter(Array.isArray) : []) {
    const sound = VERDICTS.includes(review?.verdict) && typeof review.time === "string" && typeof review.reviewer === "string"
      && (review.verdict === "corrected" ? typeof review.caption === "string" : review.caption === null);
    if (uris.has(uri) && sound) WORK.reviews.set(uri, review);
  }
};

WORK.keep = () => {
  try {
    localStorage.setItem(KEY, JSON.stringify({ reviewer: WORK.reviewer, reviews: [...WORK.reviews] }));
    WORK.kept = true;
  } catch {
    WORK.kept = false;
  }
};

WORK.set = (item, verdict, caption = null) => {
  WORK.reviews.set(item.uri, { verdict, caption, time: new Date().toISOString(), reviewer: WORK.reviewer });
  WORK.downloaded = false;
  WORK.keep();
};

/** The reviews as JSON lines, in the order of the page; each says how many there are, so that a torn file is noticed. */
WORK.lines = () => DATA.items.filter((item) => WORK.reviews.has(item.uri)).map((item, _, all) => {
  const review = WORK.reviews.get(item.uri);
  return `${JSON.stringify({
    format: DATA.format, uri: item.uri, verdict: review.verdict, caption: review.caption, shown: item.caption,
    model: DATA.model, decoding: DATA.decoding, run: item.run, score: item.score, probability: item.probability,
    time: review.time, reviewer: review.reviewer || WORK.reviewer, of: all.length,
  })}\n`;
});

WORK.download = () => {
  const time = new Date().toISOString().slice(0, 19).replace(/[-:]/g, "");
  const address = URL.createObjectURL(new Blob(WORK.lines(), { type: "application/jsonl" }));
  el("a", { href: address, download: `reviews-${time}Z.jsonl` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
  WORK.downloaded = true;
};
