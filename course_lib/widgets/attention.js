import { STYLE, announcer, embed, followTheme, keepKeys } from "./base.js";

// The heads of one layer of attention over a sentence: which words each word looks at.

// --- the numbers ---------------------------------------------------------------------------------

/** How much a word looks at each word, (words,): of one head, or (head 0) the mean of all. */
export function looks({ weights, head, word }) {
  if (head > 0) return weights[head - 1][word];
  return weights[0][word].map((_, key) =>
    weights.reduce((sum, rows) => sum + rows[word][key], 0) / weights.length);
}

/** The places of the words that are looked at most, the most first. */
export const most = (row, count = 3) =>
  row.map((_, place) => place).sort((a, b) => row[b] - row[a] || a - b).slice(0, count);

/** A share in per cent: 0.4137 -> "41 %", 0.004 -> "under 1 %". */
export function percent(share) {
  if (share > 0 && share < 0.005) return "under 1 %";
  return `${Math.round(100 * share)} %`;
}

/** What is seen, in a sentence: shown and spoken. */
export function sentence(state) {
  const row = looks(state), { words, head, word } = state;
  const told = most(row).map((place) => `“${words[place]}” ${percent(row[place])}`);
  const who = head ? `Head ${head}` : "Mean of the heads";
  return `${who}: “${words[word]}” looks most at ${told.slice(0, -1).join(", ")} and ${told.at(-1)}.`;
}

// --- the address ---------------------------------------------------------------------------------

/** State as short texts for an address, from a function that looks a value up. */
export const toAddress = (get) => ({ head: String(get("head")), word: String(get("word")) });

/** The part of the state that an address holds and that makes sense; the rest is passed over. */
export function fromAddress(texts) {
  const state = {};
  for (const key of ["head", "word"]) {
    if (/^\d{1,2}$/.test(texts[key] ?? "")) state[key] = Number(texts[key]);
  }
  return state;
}

// --- the widget ----------------------------------------------------------------------------------

const LOOK = `
  .top { display: flex; flex-wrap: wrap; align-items: flex-end; gap: 0.6rem 1.1rem; margin-bottom: 0.85rem; }
  .copy { margin-inline-start: auto; }
  .parts { display: grid; grid-template-columns: 1fr; gap: 0.8rem 1.2rem; align-items: start; }
  .words { display: flex; flex-wrap: wrap; gap: 0.35rem; }
  .words label { position: relative; cursor: pointer; }
  .words input { position: absolute; inset: 0; margin: 0; opacity: 0; cursor: pointer; }
  .words span {
    display: block; min-width: 4.2rem; padding: 0.3rem 0.5rem 0.45rem;
    border: 1px solid var(--faint); border-radius: 0.4rem; text-align: center;
  }
  .words b { display: block; }
  .words small { display: block; color: var(--quiet); font-size: 0.87em; }
  .words i { display: block; height: 0.5rem; margin-top: 0.25rem; border-radius: 0.25rem; background: var(--faint); overflow: hidden; }
  .words i::before { content: ""; display: block; width: var(--share); height: 100%; background: var(--main); }
  .words label:hover span { border-color: var(--main); }
  .words input:checked + span { border: 3px solid var(--path); padding: calc(0.3rem - 2px) calc(0.5rem - 2px) calc(0.45rem - 2px); }
  .words input:focus-visible + span { outline: 3px solid var(--path); outline-offset: 2px; }
  .map { display: block; width: 100%; max-width: 15rem; aspect-ratio: 1; }
  .cell { fill: var(--main); }
  .edge { fill: none; stroke: var(--line); }
  .row { fill: none; stroke: var(--path); }
  .hint { margin-top: 0.5rem; }
  .said { margin-top: 0.6rem; min-height: 2.9em; font-weight: 600; text-wrap: pretty; }
  @container (min-width: 560px) { .parts { grid-template-columns: 1fr 13rem; } }
  @container (max-width: 400px) {
    .said { min-height: 4.35em; }
    .choice span { padding-inline: clamp(0.3rem, 3cqi, 0.7rem); }
  }
  @media (forced-colors: active) { .words i::before { forced-color-adjust: none; background: Highlight; } }
  @media print { .words i, .words i::before { print-color-adjust: exact; } }
`;

const BODY = `
  <div class="card" role="group" aria-label="Which words a word looks at">
    <div class="top">
      <fieldset class="choice heads"><legend class="quiet">Head</legend></fieldset>
      <button type="button" class="copy" hidden>Copy link</button>
    </div>
    <div class="parts">
      <fieldset class="words"><legend class="quiet">The word that looks, and the share that each word gets</legend></fieldset>
      <div><p class="quiet">Rows look, columns are looked at</p>
        <svg class="map" role="img" aria-label="All shares of this head as a map, one row a word"></svg></div>
    </div>
    <p class="quiet hint screen-only">Point at a word, touch it, or use the arrow keys.</p>
    <p class="said" aria-hidden="true"></p>
    <p class="unseen live" role="status" aria-live="polite"></p>
  </div>
`;

function shape(kind, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

/** A radio button with a text, and room for more below it. */
function radio(name, value, text) {
  const label = document.createElement("label"), input = document.createElement("input");
  const span = document.createElement("span");
  Object.assign(input, { type: "radio", name, value: String(value) });
  span.textContent = text;
  label.append(input, span);
  return label;
}

/** A word to choose, with its share as a number and as a bar. */
function wordButton(value, text) {
  const label = radio("word", value, ""), span = label.querySelector("span");
  for (const kind of ["b", "small", "i"]) span.append(document.createElement(kind));
  span.querySelector("b").textContent = text;
  span.querySelector("i").setAttribute("aria-hidden", "true");
  return label;
}

function drawMap(svg, state) {
  const size = state.words.length;
  const cells = state.words.flatMap((_, word) => looks({ ...state, word }).map((share, x) =>
    share >= 0.005 && shape("rect", { class: "cell", x, y: word, width: 1, height: 1, "fill-opacity": share }))).filter(Boolean);
  svg.setAttribute("viewBox", `-0.2 -0.2 ${size + 0.4} ${size + 0.4}`);
  const line = { "stroke-width": size / 90 };
  svg.replaceChildren(...cells, shape("rect", { class: "edge", x: 0, y: 0, width: size, height: size, ...line }),
    shape("rect", { class: "row", x: 0, y: state.word, width: size, height: 1, "stroke-width": size / 60 }));
}

/** Put the widget into `el`. `page` is there where a page around keeps its state in the address. */
export function build({ model, el, page }) {
  const root = el.shadowRoot ?? el.attachShadow({ mode: "open" });
  root.innerHTML = `<style>${STYLE}${LOOK}</style>${BODY}`;
  const find = (selector) => root.querySelector(selector);
  const box = find(".words"), say = announcer(find(".live"));
  const keys = ["words", "weights", "head", "word"];
  let drawn = 0, quietly = true, shown = "";

  /** The state, head and word inside what there is. */
  function state() {
    const now = Object.fromEntries(keys.map((key) => [key, model.get(key)]));
    return { ...now, head: Math.min(now.head, now.weights.length), word: Math.min(now.word, now.words.length - 1) };
  }

  function change(changes, { save = true } = {}) {
    quietly = false;
    for (const [key, value] of Object.entries(changes)) model.set(key, value);
    if (save) model.save_changes();
    if (save) page?.changed();
    draw();
  }

  function draw() {
    cancelAnimationFrame(drawn);
    drawn = requestAnimationFrame(drawNow);
  }

  /** Buttons for the heads and words, made anew only where these have changed. */
  function buttons({ words, weights }) {
    const now = JSON.stringify([words, weights.length]);
    if (now === shown) return;
    shown = now;
    for (const label of root.querySelectorAll(".choice label, .words label")) label.remove();
    find(".heads").append(...weights.map((_, place) => radio("head", place + 1, String(place + 1))), radio("head", 0, "Mean"));
    box.append(...words.map((text, place) => wordButton(place, text)));
  }

  function drawNow() {
    const now = state(), row = looks(now), words = sentence(now);
    buttons(now);
    for (const input of root.querySelectorAll("input")) input.checked = input.value === String(now[input.name]);
    box.querySelectorAll("label").forEach((label, place) => {
      label.querySelector("small").textContent = percent(row[place]).replace("under ", "< ");
      label.querySelector("i").style.setProperty("--share", `${100 * row[place]}%`);
    });
    drawMap(find(".map"), now);
    find(".said").textContent = words;
    if (!quietly) say(words);
  }

  for (const field of root.querySelectorAll("fieldset")) {
    field.addEventListener("change", ({ target }) => change({ [target.name]: Number(target.value) }));
  }
  // A mouse that passes over a word shows it; only a click, a key or a finger is kept.
  box.addEventListener("pointermove", (event) => {
    const label = event.target.closest("label");
    if (!label || event.pointerType !== "mouse" || !(event.movementX || event.movementY)) return;
    const word = Number(label.querySelector("input").value);
    if (word !== state().word) change({ word }, { save: false });
  });
  box.addEventListener("click", ({ target }) => {
    const input = target.closest("label")?.querySelector("input");
    if (input) change({ word: Number(input.value) });
  });
  box.addEventListener("pointerleave", () => model.save_changes());

  const copy = find(".copy");
  copy.addEventListener("click", () => page.copy((done) => {
    copy.textContent = done ? "Link copied" : "Link is in the address bar";
    say(copy.textContent);
    setTimeout(() => { copy.textContent = "Copy link"; }, 2500);
  }));

  keepKeys(el);
  const unfollow = followTheme(el);
  for (const key of keys) model.on(`change:${key}`, draw);
  drawNow();
  return {
    withAddress: () => { copy.hidden = false; },
    end() {
      cancelAnimationFrame(drawn);
      unfollow();
      for (const key of keys) model.off(`change:${key}`, draw);
    },
  };
}

export const start = (el, state) => embed(el, state, { render: build, fromAddress, toAddress });

export default { render: (context) => build(context).end };
