"use strict";
// Elements are made here and nowhere else: texts become text nodes, so nothing from a file or a caption is ever markup.

const DATA = JSON.parse(document.getElementById("data").textContent);

/** Makes an element: properties starting with "on" are listeners, "class" and attributes are set, children appended. */
function el(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
  }
  return fill(made, ...children);
}

/** Appends children; those that are null, undefined or false are left out, so that `condition && element` works. */
function fill(parent, ...children) {
  parent.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return parent;
}

const find = (id) => document.getElementById(id);
const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));
const percent = (share) => (share === null || !Number.isFinite(share) ? "–" : `${share > 0 && share < 0.1 ? (100 * share).toFixed(1) : Math.round(100 * share)} %`);
const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;
const fileName = (uri) => uri.replace(/\/+$/, "").split("/").pop() || uri;

/** A score as people read it: minus sign, two decimals. */
const score = (value) => (value === null || value === undefined ? "–" : value.toFixed(2).replace("-", "−"));

/** A bar that shows a share, 0 to 1; the colour says it once more, the number beside it says it exactly. */
function meter(share) {
  const level = el("span", { class: "fill" });
  level.style.width = `${(100 * share).toFixed(1)}%`;
  level.style.setProperty("--hue", String(Math.round(20 + 150 * share)));
  return el("span", { class: "meter", "aria-hidden": "true" }, level);
}

/** A name that comes from outside: isolated, so that right-to-left characters in it move nothing around it. */
const outside = (text, properties = {}) => el("bdi", { title: text, ...properties }, text);

/** What the model's image classifier sees, likeliest first. */
const seen = (labels) => el("span", { class: "labels" }, "Labels: ",
  labels.map(({ label, probability }, i) => [i > 0 && ", ", outside(label), ` ${percent(probability)}`]));

/** As `el`, for elements of a drawing. */
function svg(name, properties = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(properties)) made.setAttribute(key, value);
  return fill(made, ...children);
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 90) return `${Math.round(seconds * 10) / 10} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function rate(run) {
  if (!run.seconds) return "–";
  const value = run.captioned / run.seconds;
  return `${value >= 10 ? number(Math.round(value)) : value.toFixed(1)} images/s`;
}
