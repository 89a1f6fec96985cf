import { STYLE, announcer, embed, followTheme, keepKeys } from "./base.js";

// A 3×3 kernel moved over a small image.

export const KERNELS = {
  upright: [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
  level: [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
  blur: [[0.05, 0.1, 0.05], [0.1, 0.4, 0.1], [0.05, 0.1, 0.05]],
  sharpen: [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
};
export const SIDE = 14;
const NAMES = { upright: "Upright", level: "Level", blur: "Blur", sharpen: "Sharpen" };

// --- the numbers: course_lib/scratch/convolution.py --------------------------------------------

export const outputSize = (size, kernel, stride, padding) =>
  Math.floor((size + 2 * padding - kernel) / stride) + 1;

/** The nine terms at one position: pixel, weight, product, and whether the pixel is padding. */
export function termsAt({ image, kernel, stride, padding, row, column }) {
  return KERNELS[kernel].flatMap((weights, u) => weights.map((weight, v) => {
    const y = row * stride - padding + u, x = column * stride - padding + v;
    const outside = y < 0 || x < 0 || y >= image.length || x >= image.length;
    const pixel = outside ? 0 : image[y][x];
    return { pixel, weight, product: pixel * weight, outside };
  }));
}

export const sumAt = (state) => termsAt(state).reduce((sum, { product }) => sum + product, 0);

/** All sums: rows of the output. */
export function convolve(state) {
  const size = outputSize(state.image.length, 3, state.stride, state.padding);
  return Array.from({ length: size }, (_, row) =>
    Array.from({ length: size }, (_, column) => sumAt({ ...state, row, column })));
}

/** A number in full, two decimals or up to four: 0.5 -> "0.50", -0.0265 -> "−0.0265". */
export function exact(value, least = 2) {
  let text = Math.abs(value).toFixed(4);
  while (text.endsWith("0") && text.length > text.indexOf(".") + 1 + least) text = text.slice(0, -1);
  if (text.endsWith(".")) text = text.slice(0, -1);
  return value < 0 && /[1-9]/.test(text) ? `−${text}` : text;
}

/** Where the kernel stands and what comes out, in a sentence: shown and spoken. */
export function sentence(state) {
  const terms = termsAt(state), size = outputSize(state.image.length, 3, state.stride, state.padding);
  const outside = terms.filter((term) => term.outside).length;
  const seen = terms.every(({ pixel }) => pixel === 0) ? " The window holds no ink."
    : outside ? ` ${outside} of its pixels are padding.` : "";
  return `Output row ${state.row}, column ${state.column} of ${size} × ${size}: the nine products add up to ${exact(sumAt(state))}.${seen}`;
}

// --- the address --------------------------------------------------------------------------------

/** State as short texts for an address, from a function that looks a value up. */
export const toAddress = (get) => Object.fromEntries(
  ["kernel", "stride", "padding", "row", "column"].map((key) => [key, String(get(key))]));

/** The part of the state that an address holds and that makes sense; the rest is passed over. */
export function fromAddress(texts) {
  const state = {};
  const take = (key, least, most) => {
    const value = /^\d+$/.test(texts[key] ?? "") ? Number(texts[key]) : NaN;
    if (value >= least && value <= most) state[key] = value;
  };
  if (Object.hasOwn(KERNELS, texts.kernel ?? "")) state.kernel = texts.kernel;
  take("stride", 1, 2);
  take("padding", 0, 1);
  take("row", 0, SIDE - 1);
  take("column", 0, SIDE - 1);
  return state;
}

// --- drawing ------------------------------------------------------------------------------------

const LOOK = `
  .top { display: flex; flex-wrap: wrap; align-items: flex-end; gap: 0.6rem 1.1rem; margin-bottom: 0.85rem; }
  .copy { margin-inline-start: auto; }
  .maps { display: grid; grid-template-columns: 1fr 1fr; gap: 0.6rem 1rem; }
  .maps svg { display: block; width: 100%; aspect-ratio: 1; }
  .ink { fill: var(--text); }
  .edge { fill: none; stroke: var(--line); stroke-width: 0.08; }
  .ring { fill: none; stroke: var(--line); stroke-width: 0.1; stroke-dasharray: 0.5 0.3; }
  .window { fill: none; stroke: var(--path); stroke-width: 0.35; }
  .more { fill: var(--main); }
  .less { fill: var(--path); }
  .out { cursor: crosshair; touch-action: none; border-radius: 0.3rem; }
  .out:focus-visible { outline: 3px solid var(--path); outline-offset: 1px; }
  .here { fill: none; stroke: var(--back); }
  .here + .here { stroke: var(--text); }
  .terms { grid-column: 1 / -1; display: grid; grid-template-columns: repeat(3, 1fr); gap: 0.25rem; align-content: center; }
  .terms p { padding: 0.3rem 0.1rem; border: 1px solid var(--line); border-radius: 0.3rem; text-align: center; font-size: 0.87em; line-height: 1.35; white-space: nowrap; }
  .terms .pad { border-style: dashed; color: var(--quiet); }
  .terms b { display: block; }
  .hint { margin-top: 0.5rem; }
  .said { margin-top: 0.6rem; min-height: 2.9em; font-weight: 600; text-wrap: pretty; }
  @container (min-width: 560px) {
    .maps { grid-template-columns: 1fr 1fr 1.5fr; align-items: start; }
    .terms { grid-column: auto; padding-top: 1.5rem; }
    .terms p { font-size: min(0.87em, 2cqi); }
  }
  @container (max-width: 400px) {
    .said { min-height: 4.35em; }
    .choice span { padding-inline: clamp(0.3rem, 2.6cqi, 0.7rem); }
    .kernel span { padding-inline: clamp(0.2rem, 5.5cqi - 0.75rem, 0.7rem); }
  }
`;

/** Radio buttons in a row: [value, name] each. */
const choice = (key, legend, options) => `<fieldset class="choice ${key}"><legend class="quiet">${legend}</legend>${
  options.map(([value, name]) => `<label><input type="radio" name="${key}" value="${value}"><span>${name}</span></label>`).join("")}</fieldset>`;

const BODY = `
  <div class="card" role="group" aria-label="A kernel moved over an image">
    <div class="top">
      ${choice("kernel", "Kernel", Object.entries(NAMES))}
      ${choice("stride", "Stride", [[1, 1], [2, 2]])}
      ${choice("padding", "Padding", [[0, 0], [1, 1]])}
      <button type="button" class="copy" hidden>Copy link</button>
    </div>
    <div class="maps">
      <div><p class="quiet">Input ${SIDE} × ${SIDE}</p>
        <svg class="in" role="img" aria-label="The image, and the window on it" viewBox="-1.2 -1.2 16.4 16.4"></svg></div>
      <div><p class="quiet size"></p>
        <svg class="out" tabindex="0" role="slider" aria-label="Position in the output, moved by the four arrow keys"
          aria-valuemin="0"></svg></div>
      <div class="terms" role="group" aria-label="Pixel times weight, nine times"></div>
    </div>
    <p class="quiet hint screen-only">Point at the output, or use the arrow keys on it. Squares are sums above 0, discs below.</p>
    <p class="said" aria-hidden="true"></p>
    <p class="unseen live" role="status" aria-live="polite"></p>
  </div>
`;

function shape(kind, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

const square = (x, y, size, rest) => shape("rect", { x, y, width: size, height: size, ...rest });

function drawInput(svg, { image, stride, padding, row, column }) {
  const ink = image.flatMap((pixels, y) => pixels.map((pixel, x) =>
    pixel > 0 && square(x, y, 1, { class: "ink", "fill-opacity": pixel }))).filter(Boolean);
  if (padding) ink.push(square(-1, -1, SIDE + 2, { class: "ring" }));
  ink.push(square(0, 0, SIDE, { class: "edge" }));
  ink.push(square(column * stride - padding, row * stride - padding, 3, { class: "window" }));
  svg.replaceChildren(...ink);
}

const MARGIN = 0.3; // around the output, in cells

function drawOutput(svg, sums, { row, column }) {
  const size = sums.length, most = Math.max(...sums.flat().map(Math.abs)) || 1;
  const cells = sums.flatMap((line, y) => line.map((sum, x) => {
    const look = { class: sum > 0 ? "more" : "less", "fill-opacity": Math.abs(sum) / most };
    if (Math.abs(sum) < 1e-9) return null;
    return sum > 0 ? square(x, y, 1, look) : shape("circle", { cx: x + 0.5, cy: y + 0.5, r: 0.45, ...look });
  })).filter(Boolean);
  svg.setAttribute("viewBox", `${-MARGIN} ${-MARGIN} ${size + 2 * MARGIN} ${size + 2 * MARGIN}`);
  const wide = size / 40;
  svg.replaceChildren(...cells, square(0, 0, size, { class: "edge" }),
    square(column, row, 1, { class: "here", "stroke-width": 2 * wide }),
    square(column, row, 1, { class: "here", "stroke-width": wide }));
}

function showTerms(box, terms) {
  box.replaceChildren(...terms.map(({ pixel, weight, product, outside }) => {
    const cell = document.createElement("p"), result = document.createElement("b");
    if (outside) cell.className = "pad";
    result.textContent = exact(product);
    cell.append(`${outside ? "0" : exact(pixel)} × ${exact(weight, 0)}`, result);
    return cell;
  }));
}

// --- the widget ---------------------------------------------------------------------------------

/** Put the widget into `el`. `page` is there where a page around keeps its state in the address. */
export function build({ model, el, page }) {
  const root = el.shadowRoot ?? el.attachShadow({ mode: "open" });
  root.innerHTML = `<style>${STYLE}${LOOK}</style>${BODY}`;
  const find = (selector) => root.querySelector(selector);
  const out = find(".out"), say = announcer(find(".live"));
  const keys = ["image", "kernel", "stride", "padding", "row", "column"];
  let drawn = 0, quietly = true, sums = [];

  /** The state, its position inside the output whatever stride and padding were set to. */
  function state() {
    const now = Object.fromEntries(keys.map((key) => [key, model.get(key)]));
    const last = outputSize(now.image.length, 3, now.stride, now.padding) - 1;
    return { ...now, row: Math.min(now.row, last), column: Math.min(now.column, last) };
  }

  function change(changes, { save = true } = {}) {
    quietly = false;
    for (const [key, value] of Object.entries(changes)) model.set(key, value);
    const { row, column } = state();
    if (row !== model.get("row")) model.set("row", row);
    if (column !== model.get("column")) model.set("column", column);
    if (save) model.save_changes();
    if (save) page?.changed();
    draw();
  }

  function draw() {
    cancelAnimationFrame(drawn);
    drawn = requestAnimationFrame(drawNow);
  }

  function drawNow() {
    const now = state(), words = sentence(now);
    sums = convolve(now);
    drawInput(find(".in"), now);
    drawOutput(out, sums, now);
    showTerms(find(".terms"), termsAt(now));
    for (const input of root.querySelectorAll("input")) input.checked = input.value === String(now[input.name]);
    find(".size").textContent = `Output ${sums.length} × ${sums.length}`;
    out.setAttribute("aria-valuemax", sums.length ** 2 - 1);
    out.setAttribute("aria-valuenow", now.row * sums.length + now.column);
    out.setAttribute("aria-valuetext", `row ${now.row}, column ${now.column}`);
    find(".said").textContent = words;
    if (!quietly) say(words);
  }

  function move(row, column, options) {
    const last = sums.length - 1, inside = (place) => Math.min(last, Math.max(0, place));
    change({ row: inside(row), column: inside(column) }, options);
  }

  function moveTo(event, options) {
    const box = out.getBoundingClientRect();
    const place = (at, from, length) => Math.floor(((at - from) / length) * (sums.length + 2 * MARGIN) - MARGIN);
    move(place(event.clientY, box.top, box.height), place(event.clientX, box.left, box.width), options);
  }

  for (const box of root.querySelectorAll(".choice")) {
    box.addEventListener("change", ({ target }) =>
      change({ [target.name]: target.name === "kernel" ? target.value : Number(target.value) }));
  }
  const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  out.addEventListener("keydown", (event) => {
    const { row, column } = state(), by = moves[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (by) move(row + by[0], column + by[1]);
    else if (event.key === "Home") move(row, 0);
    else if (event.key === "End") move(row, sums.length);
    else return;
    event.preventDefault();
  });
  // A mouse that passes over moves the kernel; only a click, a key or a finger is kept.
  out.addEventListener("pointermove", (event) => {
    if (event.movementX || event.movementY) moveTo(event, { save: out.hasPointerCapture(event.pointerId) });
  });
  out.addEventListener("pointerdown", (event) => {
    out.setPointerCapture(event.pointerId);
    moveTo(event);
    out.focus();
  });
  out.addEventListener("pointerleave", () => model.save_changes());

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
