import { STYLE, announcer, embed, followTheme, keepKeys } from "./base.js";

// A small graph, computed forward step by step, then its gradients, back step by step.

// Inputs with their first values, nodes as [name, operation, ...arguments], and where each stands:
// [column from 0 to 3, row].
export const GRAPHS = {
  neuron: {
    inputs: { w1: 0.5, x1: 1, w2: -1, x2: 0.5, b: 0.4, t: 1 },
    nodes: [["a", "times", "w1", "x1"], ["c", "times", "w2", "x2"], ["z", "plus", "a", "c", "b"],
      ["h", "tanh", "z"], ["e", "minus", "h", "t"], ["J", "half square", "e"]],
    places: { w1: [0, 0], x1: [1, 0], w2: [2, 0], x2: [3, 0], a: [0.5, 1], b: [1.5, 1], c: [2.5, 1],
      z: [1.5, 2], h: [1.5, 3], t: [2.7, 3], e: [1.5, 4], J: [1.5, 5] },
  },
  skip: {
    inputs: { w: 1, x: 0.5, v: 0.8, t: 2 },
    nodes: [["a", "times", "w", "x"], ["h", "tanh", "a"], ["u", "times", "v", "h"], ["o", "plus", "h", "u"],
      ["e", "minus", "o", "t"], ["J", "half square", "e"]],
    places: { w: [0.4, 0], x: [1.6, 0], a: [1, 1], h: [1, 2], v: [2.6, 2], u: [2, 3], o: [1, 4],
      t: [2.4, 4], e: [1, 5], J: [1, 6] },
  },
  shared: {
    inputs: { w: 1.5, x: 0.5, t: 1.5 },
    nodes: [["a", "times", "w", "x"], ["h", "tanh", "a"], ["o", "times", "w", "h"], ["e", "minus", "o", "t"],
      ["J", "half square", "e"]],
    places: { w: [0.4, 0], x: [2, 0], a: [2, 1], h: [2, 2], o: [1.2, 3], t: [2.6, 3], e: [1.2, 4], J: [1.2, 5] },
  },
};
export const REACH = 2; // inputs go from -REACH to REACH, in tenths
const NAMES = { neuron: "Neuron", skip: "Skip", shared: "Shared" };

// --- the numbers: course_lib/scratch/autograd.py ------------------------------------------------

const OPERATIONS = {
  times: { value: (a, b) => a * b, slopes: (a, b) => [b, a], words: (a, b) => `${a} · ${b}` },
  plus: {
    value: (...all) => all.reduce((sum, one) => sum + one), slopes: (...all) => all.map(() => 1),
    words: (...all) => all.join(" + "),
  },
  minus: { value: (a, b) => a - b, slopes: () => [1, -1], words: (a, b) => `${a} − ${b}` },
  tanh: { value: Math.tanh, slopes: (a) => [1 - Math.tanh(a) ** 2], words: (a) => `tanh ${a}` },
  "half square": { value: (a) => (a * a) / 2, slopes: (a) => [a], words: (a) => `½ ${a}²` },
};

export const inputsOf = (graph) => Object.keys(GRAPHS[graph].inputs);
export const lastStep = (graph) => 2 * GRAPHS[graph].nodes.length;

/** Everything that is known after so many steps: values, the local derivative on each way, and
 * gradients as far as they have come. `moved` is what the last step did. */
export function known({ graph, values, step }) {
  const { nodes } = GRAPHS[graph];
  const value = Object.fromEntries(inputsOf(graph).map((name, i) => [name, values[i]]));
  const local = [], gradient = {};
  let moved = null;
  nodes.slice(0, step).forEach(([name, kind, ...from]) => {
    const { value: compute, slopes } = OPERATIONS[kind], numbers = from.map((one) => value[one]);
    value[name] = compute(...numbers);
    slopes(...numbers).forEach((slope, i) => local.push({ child: name, parent: from[i], slope }));
    moved = { back: false, name, from, got: [] };
  });
  if (step > nodes.length) gradient[nodes.at(-1)[0]] = 1;
  [...nodes].reverse().slice(0, Math.max(0, step - nodes.length)).forEach(([name, , ...from]) => {
    const got = local.filter(({ child }) => child === name).map(({ parent, slope }) => {
      const had = gradient[parent];
      gradient[parent] = (had ?? 0) + gradient[name] * slope;
      return { parent, slope, had };
    });
    moved = { back: true, name, from, got };
  });
  return { value, local, gradient, moved };
}

/** A number with up to three decimals, a real minus sign and no zeros at its end. */
export function short(value) {
  const text = String(Number(Math.abs(value).toFixed(Math.abs(value) < 10 ? 3 : 2)));
  return value < 0 && text !== "0" ? `−${text}` : text;
}

const factor = (value) => (value < 0 ? `(${short(value)})` : short(value));
const formula = ([, kind, ...from], say = (name) => name) => OPERATIONS[kind].words(...from.map(say));

/** What the last step did, in a sentence: shown and spoken. */
export function sentence(state) {
  const { nodes } = GRAPHS[state.graph], { value, gradient, moved } = known(state);
  const count = nodes.length;
  if (!moved) return "Only the inputs are known. The next step forward computes the first node.";
  const node = nodes.find(([name]) => name === moved.name);
  if (!moved.back) {
    const last = state.step === count ? " That is the loss: now go back." : "";
    return `Forward ${state.step} of ${count}: ${moved.name} = ${formula(node)} = ${
      formula(node, (name) => factor(value[name]))} = ${short(value[moved.name])}.${last}`;
  }
  const parts = moved.got.map(({ parent, slope, had }) => {
    const product = `${factor(gradient[moved.name])} × ${factor(slope)}`;
    const sum = had === undefined ? `${product} = ${short(gradient[parent])}`
      : `${product}, added to the ${short(had)} it had: ${short(gradient[parent])}`;
    return `${parent} gets ${sum}`;
  });
  const done = state.step === 2 * count ? " Every gradient is known." : "";
  return `Back ${state.step - count} of ${count}, through ${moved.name}: ${parts.join("; ")}.${done}`;
}

// --- the address --------------------------------------------------------------------------------

/** State as short texts for an address. An input is two digits: its tenths, counted from -2. */
export const toAddress = (get) => ({
  graph: get("graph"),
  step: String(get("step")),
  inputs: get("values").map((one) => String(Math.round((one + REACH) * 10)).padStart(2, "0")).join(""),
});

/** The part of the state that an address holds and that makes sense; the rest is passed over. */
export function fromAddress(texts) {
  if (!Object.hasOwn(GRAPHS, texts.graph ?? "")) return {};
  const { graph } = texts, state = { graph, values: Object.values(GRAPHS[graph].inputs), step: 0 };
  const tenths = /^(\d\d)+$/.test(texts.inputs ?? "") ? texts.inputs.match(/\d\d/g).map(Number) : [];
  if (tenths.length === state.values.length && tenths.every((one) => one <= 20 * REACH)) {
    state.values = tenths.map((one) => (one - 10 * REACH) / 10);
  }
  if (/^\d+$/.test(texts.step ?? "") && Number(texts.step) <= lastStep(graph)) state.step = Number(texts.step);
  return state;
}

// --- drawing ------------------------------------------------------------------------------------

const LOOK = `
  .top { display: flex; flex-wrap: wrap; align-items: flex-end; gap: 0.6rem 1.1rem; }
  .copy { margin-inline-start: auto; }
  .run { display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 0.85rem 0 0.5rem; }
  button[aria-disabled="true"] { border-style: dashed; background: transparent; color: var(--quiet); }
  .said { min-height: 2.9em; font-weight: 600; text-wrap: pretty; }
  .graph { display: block; width: 100%; margin-top: 0.5rem; }
  .graph text { fill: var(--text); font-size: 12px; text-anchor: middle; }
  .graph .name { font-weight: 700; font-size: 13px; }
  .graph .of { fill: var(--main); font-weight: 700; }
  .graph rect { fill: var(--back); stroke: var(--line); stroke-width: 1.5; }
  .graph .later rect { stroke-dasharray: 4 3; }
  .graph .input rect { rx: 18px; }
  .graph .here rect { stroke: var(--path); stroke-width: 3.5; }
  .graph .paid rect { stroke: var(--main); stroke-width: 3; }
  .way { stroke: var(--line); stroke-width: 1.5; }
  .way.active { stroke: var(--path); stroke-width: 3; }
  .head { fill: var(--path); }
  .graph .slope { stroke: var(--back); stroke-width: 8px; paint-order: stroke; stroke-linejoin: round; }
  .hint { margin: 0.4rem 0 0.7rem; }
  .sliders { display: grid; grid-template-columns: 1fr 1fr; gap: 0.4rem 1.2rem; }
  @container (min-width: 560px) { .sliders { grid-template-columns: 1fr 1fr 1fr; } }
  @container (max-width: 400px) {
    .said { min-height: 7.25em; }
    .choice span, .run button, .copy { padding-inline: 0.6rem; }
    .run button { flex: 1 1 auto; }
    .graph .of, .graph .slope { font-size: 11px; letter-spacing: -0.01em; }
  }
`;

const BODY = `
  <div class="card" role="group" aria-label="A small graph, forward and back">
    <div class="top">
      <fieldset class="choice"><legend class="quiet">Graph</legend>${Object.entries(NAMES).map(([value, name]) =>
    `<label><input type="radio" name="graph" value="${value}"><span>${name}</span></label>`).join("")}</fieldset>
      <button type="button" class="copy" hidden>Copy link</button>
    </div>
    <div class="run">
      <button type="button" class="main forward">Forward step</button>
      <button type="button" class="main backward">Backward step</button>
      <button type="button" class="reset">Reset</button>
    </div>
    <p class="said" aria-hidden="true"></p>
    <p class="unseen live" role="status" aria-live="polite"></p>
    <svg class="graph" role="group" aria-label="The graph, inputs above, the loss J below"></svg>
    <p class="quiet hint">In a box: name, value, and after ∂ the gradient of J so far. On a line, after ×: the local derivative.</p>
    <div class="sliders screen-only"></div>
  </div>
`;

function shape(kind, attributes, words) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (words !== undefined) node.textContent = words;
  return node;
}

const ROW = 88, HIGH = 54;

function drawGraph(svg, state, width) {
  const { inputs, nodes, places } = GRAPHS[state.graph];
  const { value, local, gradient, moved } = known(state);
  const pitch = Math.min(width / 4, 170), wide = Math.min(pitch - 5, 128), left = (width - 4 * pitch) / 2;
  const at = (name) => [left + (places[name][0] + 0.5) * pitch, places[name][1] * ROW + HIGH / 2 + 2];
  const height = (Math.max(...Object.values(places).map(([, row]) => row)) * ROW) + HIGH + 4;
  const ways = nodes.flatMap(([child, , ...from]) => from.map((parent) => {
    const [[x1, y1], [x2, y2]] = [at(parent), at(child)];
    // beside each other the way goes from side to side, else from bottom to top
    const level = y1 === y2, turn = Math.sign(x2 - x1);
    const [start, end] = level ? [[x1 + (turn * wide) / 2, y1], [x2 - (turn * wide) / 2, y2]]
      : [[x1, y1 + HIGH / 2], [x2, y2 - HIGH / 2]];
    const active = moved && child === moved.name;
    const parts = [shape("line", { class: active ? "way active" : "way", x1: start[0], y1: start[1], x2: end[0], y2: end[1] })];
    if (active) parts.push(arrowhead(...(moved.back ? [end, start] : [start, end])));
    const found = local.find((one) => one.child === child && one.parent === parent);
    const share = level ? 0.5 : 0.4;
    if (found) {
      parts.push(shape("text", { class: "slope", x: start[0] + share * (end[0] - start[0]),
        y: start[1] + share * (end[1] - start[1]) + 4 }, `×${short(found.slope)}`));
    }
    return parts;
  })).flat();
  const lines = ways.filter((one) => !one.matches("text")), labels = ways.filter((one) => one.matches("text"));
  const boxes = [...Object.keys(inputs).map((name) => [name]), ...nodes].map((node) => {
    const [name] = node, [x, y] = at(name), there = value[name] !== undefined;
    const paid = moved?.got.some(({ parent }) => parent === name);
    const look = [node.length === 1 && "input", !there && "later", moved?.name === name && "here", paid && "paid"];
    const words = node.length === 1 ? `${name}, an input` : `${name} = ${formula(node)}`;
    const knows = there ? `value ${short(value[name])}` : "not yet computed";
    const owes = gradient[name] === undefined ? "" : `, gradient ${short(gradient[name])}`;
    const box = shape("g", { class: look.filter(Boolean).join(" "), role: "img", "aria-label": `${words}: ${knows}${owes}` });
    const title = node.length > 1 && wide > 110 ? `${name} = ${formula(node)}` : name;
    box.append(shape("rect", { x: x - wide / 2, y: y - HIGH / 2, width: wide, height: HIGH, rx: 6 }),
      shape("text", { class: "name", x, y: y - 11 }, title),
      shape("text", { class: "is", x, y: y + 4 }, there ? short(value[name]) : "?"));
    if (owes) box.append(shape("text", { class: "of", x, y: y + 19 }, `∂\u2009${short(gradient[name])}`));
    return box;
  });
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  svg.replaceChildren(...lines, ...labels, ...boxes);
}

/** A small triangle at the end of a way. */
function arrowhead([x1, y1], [x2, y2]) {
  const angle = (Math.atan2(y2 - y1, x2 - x1) * 180) / Math.PI;
  return shape("polygon", { class: "head", points: "0,0 -9,-5 -9,5", transform: `translate(${x2} ${y2}) rotate(${angle})` });
}

// --- the widget ---------------------------------------------------------------------------------

/** Put the widget into `el`. `page` is there where a page around keeps its state in the address. */
export function build({ model, el, page }) {
  const root = el.shadowRoot ?? el.attachShadow({ mode: "open" });
  root.innerHTML = `<style>${STYLE}${LOOK}</style>${BODY}`;
  const find = (selector) => root.querySelector(selector);
  const svg = find(".graph"), say = announcer(find(".live"));
  const keys = ["graph", "values", "step"];
  let drawn = 0, quietly = true, note = "", shown = "";

  const state = () => Object.fromEntries(keys.map((key) => [key, model.get(key)]));

  function change(changes) {
    quietly = false;
    note = "";
    for (const [key, value] of Object.entries(changes)) model.set(key, value);
    model.save_changes();
    page?.changed();
    draw();
  }

  function draw() {
    cancelAnimationFrame(drawn);
    drawn = requestAnimationFrame(drawNow);
  }

  function drawNow() {
    const now = state(), names = inputsOf(now.graph);
    if (now.values.length !== names.length) return; // the other traits are on their way
    drawGraph(svg, now, svg.getBoundingClientRect().width || 560);
    if (shown !== now.graph) addSliders(names);
    shown = now.graph;
    names.forEach((name, i) => {
      const input = find(`input[name="${name}"]`);
      if (Number(input.value) !== now.values[i]) input.value = now.values[i];
      input.style.setProperty("--filled", `calc(12px + (100% - 24px) * ${(now.values[i] + REACH) / (2 * REACH)})`);
      input.closest("label").querySelector(".value").textContent = short(now.values[i]);
    });
    for (const input of root.querySelectorAll(".choice input")) input.checked = input.value === now.graph;
    const half = lastStep(now.graph) / 2;
    find(".forward").setAttribute("aria-disabled", now.step >= half);
    find(".backward").setAttribute("aria-disabled", now.step < half || now.step >= 2 * half);
    const words = note || sentence(now);
    find(".said").textContent = words;
    if (!quietly) say(words);
  }

  function addSliders(names) {
    find(".sliders").replaceChildren(...names.map((name) => {
      const label = document.createElement("label");
      label.className = "slider";
      label.innerHTML = `<span class="name">${name} <span class="value" aria-hidden="true"></span></span>
        <input type="range" class="${name}" name="${name}" min="${-REACH}" max="${REACH}" step="0.1">`;
      label.querySelector("input").addEventListener("input", () => change({
        values: names.map((one) => Number(find(`input[name="${one}"]`).value)) }));
      return label;
    }));
  }

  function tell(words) {
    quietly = false;
    note = words;
    draw();
  }

  find(".forward").addEventListener("click", () => {
    const { graph, step } = state();
    if (step < lastStep(graph) / 2) change({ step: step + 1 });
    else tell("The pass forward is done. Go back, or reset.");
  });
  find(".backward").addEventListener("click", () => {
    const { graph, step } = state();
    if (step < lastStep(graph) / 2) tell("First forward to the loss J: the pass back starts there.");
    else if (step < lastStep(graph)) change({ step: step + 1 });
    else tell("Every gradient is known. Reset to begin anew.");
  });
  find(".reset").addEventListener("click", () => change({ step: 0 }));
  find(".choice").addEventListener("change", ({ target }) => change({
    values: Object.values(GRAPHS[target.value].inputs), graph: target.value, step: 0 }));

  const copy = find(".copy");
  copy.addEventListener("click", () => page.copy((done) => {
    copy.textContent = done ? "Link copied" : "Link is in the address bar";
    say(copy.textContent);
    setTimeout(() => { copy.textContent = "Copy link"; }, 2500);
  }));

  keepKeys(el);
  const unfollow = followTheme(el);
  const sizes = new ResizeObserver(draw);
  sizes.observe(svg);
  for (const key of keys) model.on(`change:${key}`, draw);
  drawNow();
  return {
    withAddress: () => { copy.hidden = false; },
    end() {
      cancelAnimationFrame(drawn);
      sizes.disconnect();
      unfollow();
      for (const key of keys) model.off(`change:${key}`, draw);
    },
  };
}

export const start = (el, state) => embed(el, state, { render: build, fromAddress, toAddress });

export default { render: (context) => build(context).end };
