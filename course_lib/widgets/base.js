// What all widgets of the book share: look, theme, keyboard, announcements, and how a page and a
// widget in a frame talk. Plain JavaScript, no library. Python joins this text and a widget's own
// file into one module (see __init__.py).

export const STYLE = `
  :host { display: block; color-scheme: light; }
  :host([data-theme="dark"]) { color-scheme: dark; }
  .card {
    --back: #ffffff; --text: #222832; --quiet: #48566b; --line: #8a94a3; --faint: #d6dbe1;
    --main: #1259c3; --on-main: #ffffff; --path: #b34300; --field: #1259c3;
    container-type: inline-size;
    max-width: 46rem;
    padding: 1rem;
    border: 1px solid var(--faint);
    border-radius: 0.6rem;
    background: var(--back);
    color: var(--text);
    font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
    font-variant-numeric: tabular-nums;
    text-align: start;
  }
  :host([data-theme="dark"]) .card {
    --back: #14181e; --text: #dfe4ea; --quiet: #a9b3c0; --line: #77828f; --faint: #3c4654;
    --main: #7cb0ff; --on-main: #0d1320; --path: #ff9d57; --field: #7cb0ff;
  }
  .card, .card * { box-sizing: border-box; }
  p, fieldset { margin: 0; padding: 0; border: 0; min-inline-size: 0; }
  legend { padding: 0; }
  .quiet { color: var(--quiet); font-size: 0.87em; }
  .unseen {
    position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden;
    clip-path: inset(50%); white-space: nowrap;
  }
  button {
    min-height: 2.5rem; padding: 0.3rem 0.95rem;
    border: 1px solid var(--line); border-radius: 2rem;
    background: transparent; color: var(--text); font: inherit; font-weight: 600; cursor: pointer;
  }
  button:hover { border-color: var(--main); color: var(--main); }
  button.main { border-color: var(--main); background: var(--main); color: var(--on-main); }
  button.main:hover { filter: brightness(1.08); }
  button[hidden] { display: none; }

  .choice { display: flex; gap: 0; }
  .choice label { position: relative; cursor: pointer; }
  .choice input { position: absolute; inset: 0; margin: 0; opacity: 0; cursor: pointer; }
  .choice span {
    display: block; min-height: 2.5rem; padding: 0.45rem 1.05rem;
    border: 1px solid var(--line); font-weight: 600;
  }
  .choice label + label span { border-inline-start: 0; }
  .choice label:first-of-type span { border-radius: 2rem 0 0 2rem; }
  .choice label:last-of-type span { border-radius: 0 2rem 2rem 0; }
  .choice label:hover span { color: var(--main); }
  .choice input:checked + span { border-color: var(--main); background: var(--main); color: var(--on-main); }

  .slider { display: block; }
  .slider .name { display: flex; justify-content: space-between; gap: 0.5rem; font-weight: 600; }
  .slider .value { font-weight: 400; }
  input[type="range"] {
    -webkit-appearance: none; appearance: none;
    display: block; width: 100%; height: 2rem; margin: 0; background: transparent; cursor: pointer;
  }
  input[type="range"]::-webkit-slider-runnable-track {
    height: 6px; border-radius: 3px;
    background: linear-gradient(to right, var(--main) var(--filled, 0%), var(--line) var(--filled, 0%));
  }
  input[type="range"]::-moz-range-track { height: 6px; border-radius: 3px; background: var(--line); }
  input[type="range"]::-moz-range-progress { height: 6px; border-radius: 3px; background: var(--main); }
  input[type="range"]::-webkit-slider-thumb {
    -webkit-appearance: none; width: 24px; height: 24px; margin-top: -9px;
    border: 3px solid var(--back); border-radius: 50%;
    background: var(--main); box-shadow: 0 0 0 1.5px var(--main);
  }
  input[type="range"]::-moz-range-thumb {
    width: 18px; height: 18px; border: 3px solid var(--back); border-radius: 50%;
    background: var(--main); box-shadow: 0 0 0 1.5px var(--main);
  }
  :focus { outline: none; }
  :is(button, input[type="range"]):focus-visible, .choice input:focus-visible + span {
    outline: 3px solid var(--path); outline-offset: 2px;
  }
  .choice input:focus-visible + span { position: relative; z-index: 1; }
  input[type="range"]:focus-visible { border-radius: 0.4rem; outline-offset: 0; }

  @media (forced-colors: active) {
    .card, :host([data-theme="dark"]) .card {
      --back: Canvas; --text: CanvasText; --quiet: CanvasText; --line: CanvasText; --faint: CanvasText;
      --main: Highlight; --on-main: HighlightText; --path: CanvasText; --field: CanvasText;
    }
    input[type="range"] { -webkit-appearance: auto; appearance: auto; }
  }
  @media print {
    .card, :host([data-theme="dark"]) .card {
      --back: #fff; --text: #000; --quiet: #333; --line: #777; --faint: #bbb;
      --main: #1259c3; --path: #b34300; --field: #1259c3;
    }
    button, input[type="range"], .screen-only { display: none !important; }
  }
`;

/** A number as people write it: a real minus sign, no "-0.00", grouped when it is large. */
export function number(value, digits = 2) {
  if (!Number.isFinite(value)) return value > 0 ? "infinity" : value < 0 ? "−infinity" : "not a number";
  const size = Math.abs(value);
  let text = size.toFixed(digits);
  if (size >= 1e9) text = "over a billion";
  else if (size >= 1000) text = Number(size.toPrecision(3)).toLocaleString("en");
  return value < 0 && /[1-9b]/.test(text) ? "−" + text : text;
}

/** The theme of what surrounds a widget: what a page said, JupyterLab, VS Code, Colab, the system. */
export function surroundingTheme() {
  const { body, documentElement: root } = document;
  if (root.dataset.theme) return root.dataset.theme;
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false" ? "dark" : "light";
  if (body.dataset.vscodeThemeKind) return body.dataset.vscodeThemeKind.includes("light") ? "light" : "dark";
  if (root.getAttribute("theme")) return root.getAttribute("theme") === "dark" ? "dark" : "light";
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** Keep `host` in the theme of its surroundings; returns what ends it. */
export function followTheme(host) {
  const show = () => { host.dataset.theme = surroundingTheme(); };
  const watcher = new MutationObserver(show);
  const attributes = ["data-theme", "data-jp-theme-light", "data-vscode-theme-kind", "theme"];
  for (const node of [document.documentElement, document.body]) {
    watcher.observe(node, { attributeFilter: attributes });
  }
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", show);
  show();
  return () => {
    watcher.disconnect();
    system.removeEventListener("change", show);
  };
}

/** Speaks through a live region: half a second after the last word, and while words keep coming
 * every four seconds at most, so that a screen reader is not talked over. */
export function announcer(region, rest = 500, most = 4000) {
  let timer = 0, since = 0;
  const speak = (words) => {
    region.textContent = words;
    timer = since = 0;
  };
  return (words) => {
    const now = performance.now();
    since ||= now;
    clearTimeout(timer);
    timer = setTimeout(speak, Math.max(0, Math.min(rest, since + most - now)), words);
  };
}

/** JupyterLab reads single keys as commands (x cuts the cell, arrows leave it): a key that is
 * pressed inside a widget is the widget's. Escape and combinations with Ctrl, Alt and ⌘ pass. */
export function keepKeys(host) {
  host.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" && !event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
  });
}

export const reducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** State without a kernel, with as much of a Jupyter widget's model as the widgets use. */
export function plainModel(state) {
  const values = { ...state }, listeners = new Map();
  return {
    get: (key) => values[key],
    set(key, value) {
      values[key] = value;
      for (const listen of listeners.get(`change:${key}`) ?? []) listen();
    },
    on(event, listen) {
      if (!listeners.has(event)) listeners.set(event, new Set());
      listeners.get(event).add(listen);
    },
    off: (event, listen) => listeners.get(event)?.delete(listen),
    save_changes() {},
  };
}

/** Run a widget in a frame of a page.
 *
 * The frame is sandboxed: it cannot see the page, so they send each other messages (the page's
 * side is in book/assets/course.js). The page says its theme and what its address holds for this
 * widget; the widget says its height and its state. A page that does not answer costs nothing but
 * the address: theme and height then are the system's and the frame's own. */
export function embed(el, state, { render, fromAddress, toAddress }) {
  const model = plainModel(state);
  const tell = (words) => parent.postMessage({ course: "widget", ...words }, "*");
  let copied = () => {}, timer = 0;
  const page = {
    changed() {
      clearTimeout(timer);
      timer = setTimeout(() => tell({ state: toAddress(model.get) }), 300);
    },
    copy(done) {
      copied = done;
      clearTimeout(timer);
      tell({ state: toAddress(model.get), copy: true });
    },
  };
  el.replaceChildren();
  const greet = render({ model, el, page });
  addEventListener("message", ({ source, data }) => {
    if (source !== parent || data?.course !== "page") return;
    if (data.theme) document.documentElement.dataset.theme = data.theme;
    if (data.state) {
      for (const [key, value] of Object.entries(fromAddress(data.state))) model.set(key, value);
      greet.withAddress();
      sayHeight();
    }
    if ("copied" in data) copied(data.copied);
  });
  const sayHeight = () => tell({ height: Math.ceil(el.getBoundingClientRect().height) });
  new ResizeObserver(sayHeight).observe(el);
  tell({ ready: true });
}
