// The work: one verdict a photo, kept in this browser until it is downloaded. Browsers pass what one tab keeps to others
// late, so each photo has a key of its own: a tab that has not seen the others' work yet cannot overwrite it.

const KEY = `beam_job.review.${DATA.identity}`;
const REVIEWER = `${KEY}.reviewer`;
const VERDICTS = ["right", "corrected", "wrong", "skipped"];
const WORK = { reviewer: "", reviews: new Map(), unkept: new Set(), downloaded: true };

DATA.items.forEach((item, place) => { item.key = `${KEY}.${place}`; });

const one_line = (text) => text.replace(/\s+/g, " ").trim();

/**
 * Waits until the storage can be used. A page that asks for it while a busy Chromium is still opening the page gets an
 * empty one that keeps nothing; this question is answered once the page is open.
 */
WORK.ready = () => Promise.race([
  navigator.storage?.persisted?.().catch(() => {}),
  new Promise((resolve) => { setTimeout(resolve, 5000); }),
]);

/** What this browser keeps under a key; null where there is nothing that can be taken up. */
function kept(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

/** Whether a kept value is a review as this page writes it. */
const sound = (review) => VERDICTS.includes(review?.verdict) && typeof review.time === "string" && typeof review.reviewer === "string"
  && (review.verdict === "corrected" ? typeof review.caption === "string" : review.caption === null);

/** Takes up what this browser keeps; what was deleted or spoiled there since this page took it up is kept again. */
WORK.load = () => {
  const name = kept(REVIEWER);
  if (typeof name === "string" && !WORK.unkept.has(REVIEWER)) WORK.reviewer = name;
  else if (WORK.reviewer) WORK.unkept.add(REVIEWER);
  for (const { key } of DATA.items) {
    const review = kept(key);
    if (sound(review) && !WORK.unkept.has(key)) WORK.reviews.set(key, review);
    else if (WORK.reviews.has(key)) WORK.unkept.add(key);
  }
  WORK.keep();
};

/** Keeps what has changed, and once more what could not be kept before. */
WORK.keep = (...changed) => {
  changed.forEach((key) => WORK.unkept.add(key));
  for (const key of WORK.unkept) {
    try {
      localStorage.setItem(key, JSON.stringify(key === REVIEWER ? WORK.reviewer : WORK.reviews.get(key)));
      WORK.unkept.delete(key);
    } catch {
      // the browser has no room, or keeps nothing of such pages: the page says so
    }
  }
};

WORK.name = (reviewer) => {
  WORK.reviewer = reviewer;
  WORK.keep(REVIEWER);
};

WORK.set = (item, verdict, caption = null) => {
  WORK.reviews.set(item.key, { verdict, caption, time: new Date().toISOString(), reviewer: WORK.reviewer });
  WORK.downloaded = false;
  WORK.keep(item.key);
};

/** The reviews as JSON lines, in the order of the page; each says how many there are, so that a torn file is noticed. */
WORK.lines = () => DATA.items.filter((item) => WORK.reviews.has(item.key)).map((item, _, all) => {
  const review = WORK.reviews.get(item.key);
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
