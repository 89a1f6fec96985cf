import { STYLE, announcer, embed, followTheme, keepKeys, number, reducedMotion } from "./base.js";

// Gradient descent with momentum on a bowl and in a ravine.

// The loss is half of curvatures[0] * x^2 + curvatures[1] * y^2. The bowl is as steep as the walls
// of the ravine, so both have the same limit; only the flat direction differs.
export const SURFACES = { bowl: [25, 25], ravine: [1, 25] };
export const REACH = [6, 3.5]; // what the map shows: from -REACH to REACH
export const MOST = { steps: 100, learning_rate: 0.16, momentum: 0.99 };
const LEAST_RATE = 0.001;
const HEIGHTS = [0.12, 0.4, 0.8, 1.3, 1.9, 2.6, 3.4, 4.4, 5.6]; // half axes of the contours, steep way

// --- the numbers: course_lib/scratch/momentum.py, operation for operation ----------------------

/** The path of the heavy ball, steps + 1 points:
 * velocity <- momentum * velocity + gradient, theta <- theta - rate * velocity. */
export function heavyBall(curvatures, start, rate, momentum, steps) {
  let theta = [...start], velocity = start.map(() => 0);
  const path = [theta];
  for (let step = 0; step < steps; step += 1) {
    velocity = velocity.map((v, i) => momentum * v + curvatures[i] * theta[i]);
    theta = theta.map((t, i) => t - rate * velocity[i]);
    path.push(theta);
  }
  return path;
}

export const lossAt = (curvatures, theta) =>
  0.5 * theta.reduce((sum, t, i) => sum + curvatures[i] * t * t, 0);

/** Above this rate the heavy ball diverges: 2 (1 + momentum) / the largest curvature. */
export const limitOf = (curvatures, momentum) => (2 * (1 + momentum)) / Math.max(...curvatures);

/** What a step multiplies the error by in the long run, along one curvature: the larger root of
 * z^2 - (1 + momentum - rate * curvature) z + momentum, and whether the roots are complex. */
export function factor(curvature, rate, momentum) {
  const sum = 1 + momentum - rate * curvature;
  const square = sum * sum - 4 * momentum;
  if (square < 0) return { size: Math.sqrt(momentum), turns: true };
  return { size: (Math.abs(sum) + Math.sqrt(square)) / 2, turns: false };
}

/** What the run is doing, in a word or two, from its last points and from theory. */
export function verdict(curvatures, path, rate, momentum) {
  const last = path.length - 1;
  if (last === 0) return "this is the start";
  const moving = curvatures.filter((_, i) => path[0][i] !== 0).map((one) => factor(one, rate, momentum));
  const slowest = moving.reduce((a, b) => (b.size > a.size ? b : a), { size: 0, turns: false });
  const small = (theta) => theta.every((t) => Math.abs(t) < 0.005);
  if (slowest.size > 1 + 1e-9) {
    return lossAt(curvatures, path[last]) > lossAt(curvatures, path[0]) ? "diverging" : "going to diverge";
  }
  if (slowest.size > 1 - 1e-9) return "leaping to and fro for ever";
  if (path.slice(-3).every(small)) return "arrived at the minimum";
  const leaps = path[last].some((t, i) => t * path[last - 1][i] < 0 && Math.abs(t) > 0.02);
  if (leaps && !slowest.turns) return "converging, leaping from side to side";
  if (slowest.size > 0.98) return "converging, but crawling";
  return slowest.turns ? "converging, swinging to and fro" : "converging";
}

/** Where the run is, in a sentence: what is shown and what a screen reader speaks. */
export function sentence(state) {
  const curvatures = SURFACES[state.surface];
  const path = heavyBall(curvatures, state.start, state.learning_rate, state.momentum, state.steps);
  const theta = path[state.steps], loss = lossAt(curvatures, theta);
  const height = loss > 0 && loss < 0.0005 ? "below 0.001" : number(loss, loss < 0.1 ? 3 : 2);
  const after = `After ${state.steps} step${state.steps === 1 ? "" : "s"}`;
  const place = `(${number(theta[0])}, ${number(theta[1])})`;
  return `${after} at ${place}, loss ${height}: ${verdict(curvatures, path, state.learning_rate, state.momentum)}.`;
}

// --- the address --------------------------------------------------------------------------------

const within = (value, least, most) => Math.min(most, Math.max(least, value));
const rounded = (value, digits) => Number(value.toFixed(digits));

/** State as short texts for an address, from a function that looks a value up. */
export function toAddress(get) {
  const [x, y] = get("start");
  const texts = { surface: get("surface"), x, y, rate: get("learning_rate"), momentum: get("momentum"), steps: get("steps") };
  return Object.fromEntries(Object.entries(texts).map(([key, value]) => [key, String(value)]));
}

/** The part of the state that an address holds and that makes sense; the rest is passed over. */
export function fromAddress(texts) {
  const state = {};
  const take = (key, least, most) => {
    const value = /^-?\d+(\.\d+)?$/.test(texts[key] ?? "") ? Number(texts[key]) : NaN;
    return value >= least && value <= most ? value : null;
  };
  const x = take("x", -REACH[0], REACH[0]), y = take("y", -REACH[1], REACH[1]);
  const rate = take("rate", LEAST_RATE, MOST.learning_rate);
  const momentum = take("momentum", 0, MOST.momentum), steps = take("steps", 0, MOST.steps);
  if (Object.hasOwn(SURFACES, texts.surface ?? "")) state.surface = texts.surface;
  if (x !== null && y !== null) state.start = [x, y];
  if (rate !== null) state.learning_rate = rate;
  if (momentum !== null) state.momentum = momentum;
  if (Number.isInteger(steps)) state.steps = steps;
  return state;
}

// --- drawing ------------------------------------------------------------------------------------

const LOOK = `
  .top, .run { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem 0.6rem; }
  .top { justify-content: space-between; margin-bottom: 0.75rem; }
  .map { display: block; width: 100%; border-radius: 0.4rem; overflow: hidden; cursor: crosshair; }
  .map .ground { fill: var(--field); fill-opacity: 0.36; }
  .map .level { fill: var(--back); fill-opacity: 0.24; stroke: var(--field); stroke-opacity: 0.45; }
  .map .mark { stroke: var(--text); stroke-width: 2; }
  .map text, .chart text { fill: var(--text); font-size: 12px; }
  .trace { fill: none; stroke: var(--path); stroke-width: 1.6; stroke-linejoin: round; }
  .dot { fill: var(--path); }
  .here { fill: var(--path); stroke: var(--back); stroke-width: 2; }
  .handle { cursor: grab; touch-action: none; }
  .handle:active { cursor: grabbing; }
  .handle .hit { fill: transparent; }
  .handle .knob { fill: var(--back); stroke: var(--path); stroke-width: 3.5; }
  .handle .ring { fill: none; stroke: none; }
  .handle:focus-visible .ring { stroke: var(--text); stroke-width: 3; }
  .hint { margin-top: 0.3rem; }
  .run { margin: 0.75rem 0 0.5rem; }
  .run .slider { flex: 1 1 11rem; margin-inline-start: 0.4rem; }
  .said { min-height: 1.45em; font-weight: 600; text-wrap: pretty; }
  .lower { display: grid; gap: 0.75rem 1.75rem; margin-top: 0.85rem; }
  .sliders { display: grid; gap: 0.7rem; align-content: start; }
  .limit { position: relative; height: 1.35rem; margin: -0.35rem 12px 0; }
  .limit span { position: absolute; white-space: nowrap; }
  .limit i { position: absolute; top: -0.45rem; width: 2px; height: 0.6rem; background: var(--text); }
  .chart { display: block; width: 100%; overflow: visible; }
  .chart line { stroke: var(--faint); }
  @container (min-width: 560px) {
    .lower { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
  }
  @container (max-width: 400px) {
    .said { min-height: 4.35em; }
    .top { flex-wrap: nowrap; }
    .top button, .choice span { padding-inline: 0.7rem; white-space: nowrap; }
    .run .slider { margin: 0; }
    .run button { flex: 1 1 auto; padding-inline: 0.6rem; }
  }
`;

const BODY = `
  <div class="card" role="group" aria-label="Gradient descent on a bowl and in a ravine">
    <div class="top">
      <fieldset class="choice"><legend class="unseen">Surface</legend>
        <label><input type="radio" name="surface" value="bowl"><span>Bowl</span></label><label><input
          type="radio" name="surface" value="ravine"><span>Ravine</span></label>
      </fieldset>
      <button type="button" class="copy" hidden>Copy link</button>
    </div>
    <svg class="map" role="group" aria-label="Map of the loss from above" aria-describedby="said">
      <g class="levels"></g><polyline class="trace"/><g class="dots"></g><circle class="here" r="7"/>
      <g class="handle" tabindex="0" role="slider" aria-label="Starting point, moved by the four arrow keys"
        aria-valuemin="${-REACH[0]}" aria-valuemax="${REACH[0]}">
        <circle class="hit" r="22"/><circle class="ring" r="15"/><circle class="knob" r="9"/>
      </g>
    </svg>
    <p class="quiet hint screen-only">Drag the ring, tap the map, or use the arrow keys (with Shift: further).</p>
    <div class="run">
      <button type="button" class="main play"></button>
      <button type="button" class="step">Step</button>
      <button type="button" class="reset">Reset</button>
      <label class="slider"><span class="name">Steps shown <span class="value steps-value" aria-hidden="true"></span></span>
        <input class="steps" type="range" min="0" max="${MOST.steps}" step="1"></label>
    </div>
    <p class="said" id="said" aria-hidden="true"></p>
    <p class="unseen live" role="status" aria-live="polite"></p>
    <div class="lower">
      <div class="sliders">
        <div>
          <label class="slider"><span class="name">Learning rate <span class="value rate-value" aria-hidden="true"></span></span>
            <input class="rate" type="range" min="${LEAST_RATE}" max="${MOST.learning_rate}" step="0.001"
              aria-describedby="limit"></label>
          <div class="limit quiet"><i></i><span id="limit"></span></div>
        </div>
        <label class="slider"><span class="name">Momentum <span class="value momentum-value" aria-hidden="true"></span></span>
          <input class="momentum" type="range" min="0" max="${MOST.momentum}" step="0.01"></label>
      </div>
      <svg class="chart" role="img"></svg>
    </div>
  </div>
`;

const SHAPE = "http://www.w3.org/2000/svg";
const far = (value) => within(Number.isFinite(value) ? value : 1e5, -1e5, 1e5);

const widthOf = (node, otherwise) => node.getBoundingClientRect().width || otherwise;

function shape(name, attributes, words) {
  const node = document.createElementNS(SHAPE, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (words !== undefined) node.textContent = words;
  return node;
}

/** Contours as nested ellipses, the window's edge in numbers, a cross at the minimum. */
function drawGround(group, curvatures, width, height, across, up) {
  const scale = width / (2 * REACH[0]);
  const levels = [...HEIGHTS].reverse().map((steep) => {
    const half = curvatures.map((one) => steep * Math.sqrt(curvatures[1] / one) * scale);
    return shape("ellipse", { class: "level", cx: across(0), cy: up(0), rx: half[0], ry: half[1] });
  });
  const [x, y] = [across(0), up(0)];
  const words = [
    shape("text", { x: width - 8, y: y - 6, "text-anchor": "end" }, `θ₁ = ${REACH[0]}`),
    shape("text", { x: 8, y: y - 6 }, `−${REACH[0]}`),
    shape("text", { x: x + 6, y: 15 }, `θ₂ = ${REACH[1]}`),
    shape("text", { x: x + 6, y: height - 7 }, `−${REACH[1]}`),
  ];
  const ground = shape("rect", { class: "ground", width, height });
  const cross = shape("path", { class: "mark", d: `M${x - 7} ${y}h14M${x} ${y - 7}v14` });
  group.replaceChildren(ground, ...levels, ...words, cross);
}

/** Loss by step on a logarithmic axis that stays the same whatever the settings. */
function drawLosses(svg, losses, width) {
  const height = 156, left = 46, right = 8, top = 30, bottom = 24, low = -6, high = 6;
  const across = (step) => left + (step / MOST.steps) * (width - left - right);
  const up = (loss) => {
    const power = loss > 0 ? Math.log10(loss) : low;
    const share = (within(Number.isNaN(power) ? high : power, low, high) - low) / (high - low);
    return height - bottom - share * (height - top - bottom);
  };
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  const parts = [shape("text", { x: 0, y: 12 }, "Loss, by step")];
  for (const [power, name] of [[-6, "10⁻⁶"], [-3, "10⁻³"], [0, "1"], [3, "10³"], [6, "10⁶"]]) {
    const y = up(10 ** power);
    parts.push(shape("line", { x1: left, x2: width - right, y1: y, y2: y }));
    parts.push(shape("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, name));
  }
  for (const step of [0, 50, 100]) {
    const anchor = step === MOST.steps ? "end" : step ? "middle" : "start";
    parts.push(shape("text", { x: across(step), y: height - 6, "text-anchor": anchor }, step));
  }
  const last = losses.length - 1;
  parts.push(shape("polyline", { class: "trace", points: losses.map((one, i) => `${across(i)},${up(one)}`).join(" ") }));
  parts.push(shape("circle", { class: "here", r: 5, cx: across(last), cy: up(losses[last]) }));
  svg.replaceChildren(...parts);
}

// --- the widget ---------------------------------------------------------------------------------

/** Put the widget into `el`. `page` is there where a page around keeps its state in the address. */
export function build({ model, el, page }) {
  const root = el.shadowRoot ?? el.attachShadow({ mode: "open" });
  root.innerHTML = `<style>${STYLE}${LOOK}</style>${BODY}`;
  const find = (selector) => root.querySelector(selector);
  const map = find(".map"), handle = find(".handle"), play = find(".play");
  const say = announcer(find(".live"));
  const keys = ["surface", "start", "learning_rate", "momentum", "steps"];
  const home = [...model.get("start")];
  let timer = 0, drawn = 0, quietly = true;

  const state = () => Object.fromEntries(keys.map((key) => [key, model.get(key)]));

  function change(key, value, { save = true } = {}) {
    quietly = false;
    model.set(key, value);
    if (save) model.save_changes();
    if (save) page?.changed();
    draw();
  }

  function draw() {
    cancelAnimationFrame(drawn);
    drawn = requestAnimationFrame(drawNow);
  }

  function drawNow() {
    const now = state(), curvatures = SURFACES[now.surface];
    const path = heavyBall(curvatures, now.start, now.learning_rate, now.momentum, now.steps);
    drawMap(curvatures, path);
    drawLosses(find(".chart"), path.map((theta) => lossAt(curvatures, theta)), widthOf(find(".chart"), 280));
    showSettings(now, curvatures);
    const words = sentence(now);
    find(".said").textContent = words;
    find(".chart").setAttribute("aria-label", `Loss by step, on a logarithmic axis. ${words}`);
    if (!quietly) say(words);
  }

  function drawMap(curvatures, path) {
    const width = widthOf(map, 600), height = (width * REACH[1]) / REACH[0];
    const across = (x) => far(((x + REACH[0]) / (2 * REACH[0])) * width);
    const up = (y) => far(((REACH[1] - y) / (2 * REACH[1])) * height);
    map.setAttribute("viewBox", `0 0 ${width} ${height}`);
    map.style.height = `${height}px`;
    drawGround(find(".levels"), curvatures, width, height, across, up);
    const points = path.map(([x, y]) => [across(x), up(y)]);
    map.querySelector(".trace").setAttribute("points", points.join(" "));
    const size = width < 400 ? 2 : 3;
    find(".dots").replaceChildren(...points.slice(1).map(([cx, cy]) => shape("circle", { class: "dot", r: size, cx, cy })));
    const [cx, cy] = points.at(-1);
    for (const [key, value] of Object.entries({ cx, cy })) map.querySelector(".here").setAttribute(key, value);
    handle.setAttribute("transform", `translate(${points[0]})`);
  }

  function showSettings(now, curvatures) {
    const fill = (name, value, words) => {
      const input = find(`input.${name}`);
      if (input.value !== String(value)) input.value = value;
      const share = (value - input.min) / (input.max - input.min);
      input.style.setProperty("--filled", `calc(12px + (100% - 24px) * ${share})`);
      find(`.${name}-value`).textContent = words;
    };
    fill("rate", now.learning_rate, number(now.learning_rate, 3));
    fill("momentum", now.momentum, number(now.momentum, 2));
    fill("steps", now.steps, String(now.steps));
    for (const input of root.querySelectorAll(".choice input")) input.checked = input.value === now.surface;
    const [x, y] = now.start.map((one) => number(one, 1));
    handle.setAttribute("aria-valuenow", now.start[0]);
    handle.setAttribute("aria-valuetext", `theta 1 is ${x}, theta 2 is ${y}`);
    const limit = limitOf(curvatures, now.momentum), most = MOST.learning_rate;
    const share = (limit - LEAST_RATE) / (most - LEAST_RATE);
    find(".limit i").style.left = `calc(${share * 100}% - 1px)`;
    const side = share < 0.6 ? `left: ${share * 100}%` : `right: ${(1 - share) * 100}%`;
    find(".limit span").style.cssText = `${side}; padding-inline: 0.5em`;
    find(".limit span").textContent = `limit ${number(limit, 3)}`;
  }

  // Playing. Where the reader wants no motion, the button shows the whole run at once.
  function pause() {
    if (timer) {
      clearInterval(timer);
      timer = 0;
      model.save_changes();
      page?.changed();
    }
    play.textContent = reducedMotion() ? "Show all" : "Play";
  }

  function tick() {
    const steps = model.get("steps");
    change("steps", Math.min(MOST.steps, steps + 1), { save: false });
    const now = state(), path = heavyBall(SURFACES[now.surface], now.start, now.learning_rate, now.momentum, now.steps);
    const lost = path.at(-1).some((one) => !(Math.abs(one) < 1000));
    if (now.steps >= MOST.steps || lost) pause();
  }

  function toggle() {
    if (timer) return pause();
    if (reducedMotion()) return change("steps", MOST.steps);
    if (model.get("steps") >= MOST.steps) change("steps", 0, { save: false });
    play.textContent = "Pause";
    timer = setInterval(tick, 110);
  }

  function moveStart(x, y) {
    change("start", [rounded(within(x, -REACH[0], REACH[0]), 1), rounded(within(y, -REACH[1], REACH[1]), 1)]);
  }

  function startAt(event) {
    const box = map.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * 2 - 1, y = 1 - ((event.clientY - box.top) / box.height) * 2;
    moveStart(x * REACH[0], y * REACH[1]);
  }

  play.addEventListener("click", toggle);
  find(".step").addEventListener("click", () => {
    pause();
    change("steps", Math.min(MOST.steps, model.get("steps") + 1));
  });
  find(".reset").addEventListener("click", () => {
    pause();
    change("steps", 0);
  });
  find("input.steps").addEventListener("input", (event) => {
    pause();
    change("steps", Number(event.target.value));
  });
  find("input.rate").addEventListener("input", (event) => change("learning_rate", Number(event.target.value)));
  find("input.momentum").addEventListener("input", (event) => change("momentum", Number(event.target.value)));
  find(".choice").addEventListener("change", (event) => change("surface", event.target.value));

  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  handle.addEventListener("keydown", (event) => {
    const [x, y] = model.get("start"), far = event.shiftKey ? 1 : 0.1;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (moves[event.key]) moveStart(x + moves[event.key][0] * far, y + moves[event.key][1] * far);
    else if (event.key === "Home") moveStart(...home);
    else return;
    event.preventDefault();
  });
  handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
  handle.addEventListener("pointermove", (event) => handle.hasPointerCapture(event.pointerId) && startAt(event));
  map.addEventListener("click", (event) => {
    if (!handle.contains(event.target)) startAt(event);
    handle.focus();
  });

  const copy = find(".copy");
  copy.addEventListener("click", () => page.copy((done) => {
    copy.textContent = done ? "Link copied" : "Link is in the address bar";
    say(copy.textContent);
    setTimeout(() => { copy.textContent = "Copy link"; }, 2500);
  }));

  keepKeys(el);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  calm.addEventListener("change", pause);
  const unfollow = followTheme(el);
  const sizes = new ResizeObserver(draw);
  sizes.observe(map);
  for (const key of keys) model.on(`change:${key}`, draw);
  pause();
  drawNow();
  return {
    withAddress: () => { copy.hidden = false; },
    end() {
      pause();
      cancelAnimationFrame(drawn);
      sizes.disconnect();
      unfollow();
      calm.removeEventListener("change", pause);
      for (const key of keys) model.off(`change:${key}`, draw);
    },
  };
}

export const start = (el, state) => embed(el, state, { render: build, fromAddress, toAddress });

export default { render: (context) => build(context).end };
