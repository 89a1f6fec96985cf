// The course's GPT writes on in the reader's browser. The page shows a recorded sample; nothing
// else is loaded before the reader asks. model.js computes, this file talks with the reader.

(function () {
  "use strict";
  const FILES = ["model.js", "weights.js", "counts.js"];
  const here = document.currentScript.src; // …/_static/gpt/live.js?v=…
  const ROWS = 8; // tokens that the bars show
  const MOST = 200; // tokens that one press of "Write on" writes
  const PACE = 40; // tokens a second that it shows at most, so that one can read along
  const SLICE = 25; // milliseconds that it computes before the page is drawn again
  const REST = 200; // milliseconds between two drawings of the bars while it writes
  const TOPS = [1, 2, 5, 10, 20, 40, 100, 200, 500];

  const body = () => `
    <label class="live-name" for="live-text">A beginning, and what follows</label>
    <textarea id="live-text" rows="6" spellcheck="false" autocomplete="off"></textarea>
    <div class="live-buttons">
      <button type="button" class="live-main live-write">Write on</button>
      <button type="button" class="live-one">One token</button>
      <button type="button" class="live-again">Start again</button>
    </div>
    <p class="live-news" aria-hidden="true"></p>
    <div class="live-settings">
      <div><label for="live-temperature">Temperature</label> <output for="live-temperature"></output>
        <input id="live-temperature" type="range" min="0" max="2" step="0.05" value="0.8"></div>
      <div><label for="live-top">Top-k</label> <output for="live-top"></output>
        <input id="live-top" type="range" min="0" max="${TOPS.length}" step="1" value="5"></div>
      <fieldset><legend>Who writes</legend>
        <label><input type="radio" name="live-writer" value="gpt" checked> GPT</label>
        <label><input type="radio" name="live-writer" value="counts"> Table of counts</label>
      </fieldset>
    </div>
    <div class="live-tables">${table("gpt", "GPT: the next token")}${
      table("counts", "Table of counts: the next token")}</div>
    <p class="live-unseen" role="status" aria-live="polite"></p>`;

  const table = (who, caption) => `
    <table class="live-table live-by-${who}"><caption>${caption}</caption>
      <colgroup><col class="live-first"><col></colgroup>
      <thead><tr><th scope="col">Token</th><th scope="col">Probability</th></tr></thead>
      <tbody></tbody></table>`;

  const SIGNS = { " ": ["␣", "space"], "\n": ["↵", "new line"], "\t": ["⇥", "tab"] };

  /** A token as it is shown ("␣the") and as it is spoken ("space the"). */
  function names(bytes) {
    let text;
    try {
      text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes));
    } catch {
      text = null; // part of a letter
    }
    if (text === null || /[\x00-\x08\x0b-\x1f\x7f-\xa0]/.test(text)) {
      const hex = bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(" ");
      return { shown: `<${hex}>`, spoken: `byte ${hex}` };
    }
    const shown = [...text].map((sign) => SIGNS[sign]?.[0] ?? sign).join("");
    const spoken = [...text].map((sign) => (SIGNS[sign] ? ` ${SIGNS[sign][1]} ` : sign)).join("");
    return { shown, spoken: spoken.replace(/\s+/g, " ").trim() };
  }

  const percent = (p) => (p > 0 && p < 0.001 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`);

  // --- loading ----------------------------------------------------------------------------------

  function loadScript(name, version) {
    return new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = new URL(`${name}?v=${version}`, here).href;
      script.onload = done;
      script.onerror = () => {
        script.remove();
        failed(new Error(name));
      };
      document.head.append(script);
    });
  }

  async function load(version) {
    await Promise.all(FILES.map((name) => loadScript(name, version)));
    const course = globalThis.courseGPT;
    course.loaded ??= { ...course.readModel(course.weights), counts: course.readCounts(course.counts) };
    return course.loaded;
  }

  /** The button that asks for the model, in place of which the demonstration comes. */
  function offer(box) {
    const { size, version } = box.dataset;
    const panel = document.createElement("div");
    panel.className = "live-offer";
    panel.innerHTML = `<button type="button" class="live-main">Load the model, ${size}</button>
      <p class="live-quiet">It then writes in this page. What you type stays here.</p>
      <p class="live-unseen" role="status" aria-live="polite"></p>`;
    const button = panel.querySelector("button"), status = panel.querySelector("[role=status]");
    button.addEventListener("click", async () => {
      if (button.getAttribute("aria-disabled")) return;
      button.setAttribute("aria-disabled", "true");
      button.textContent = status.textContent = "Loading the model …";
      try {
        run(box, panel, await load(version));
      } catch (error) {
        console.warn(error);
        button.removeAttribute("aria-disabled");
        button.textContent = `Load the model, ${size}`;
        panel.querySelector(".live-quiet").textContent = status.textContent =
          "The model did not arrive. Is the network there? Press the button to try again.";
      }
    });
    box.prepend(panel);
  }

  // --- the demonstration ------------------------------------------------------------------------

  function run(box, panel, { tokenizer, transformer, counts }) {
    const live = document.createElement("div"), vocabulary = tokenizer.tokens.length;
    live.className = "live-body";
    live.setAttribute("role", "group");
    live.setAttribute("aria-label", "The GPT writes on");
    live.innerHTML = body();
    const find = (selector) => live.querySelector(selector);
    const text = find("textarea"), write = find(".live-write"), one = find(".live-one"), again = find(".live-again");
    const start = box.dataset.start || "\n";
    const calm = matchMedia("(prefers-reduced-motion: reduce)");
    let ids = [], from = "", running = false, waiting = 0;

    const temperature = () => Number(find("#live-temperature").value);
    const topK = () => TOPS[find("#live-top").value] ?? vocabulary;
    const writer = () => find("input[name=live-writer]:checked").value;
    const say = (words) => { find("[role=status]").textContent = words; };
    const tell = (words) => { find(".live-news").textContent = words; };

    /** What stands in the box, as ids; a token that was drawn stays the token it was. */
    function read() {
      if (text.value !== from && !running) {
        from = text.value;
        ids = tokenizer.encode(from);
      }
      return ids.length ? ids : tokenizer.encode("\n");
    }

    /** Each writer's logits; the counts' are logarithms of probabilities. */
    function logitsOf(who, now) {
      return who === "gpt" ? transformer.logits(now) : counts.probabilities(now).map(Math.log);
    }

    const nextOf = (who, now) => {
      const logits = logitsOf(who, now);
      return { logits, p: globalThis.courseGPT.probabilities(logits, temperature(), topK()) };
    };

    /** Draw one token; `show` puts it on the page. */
    function step() {
      const { p } = nextOf(writer(), read());
      const id = globalThis.courseGPT.draw(p, Math.random());
      ids = [...ids, id];
      return { id, p: p[id] };
    }

    function show() {
      text.value = tokenizer.decode(ids);
      from = text.value; // as the box keeps it
      text.scrollTop = text.scrollHeight;
    }

    // Bars: the tokens with the largest logits, also those that top-k cuts.
    function drawBars() {
      const now = read();
      for (const who of ["gpt", "counts"]) {
        const { logits, p } = nextOf(who, now);
        const best = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a]).slice(0, ROWS);
        find(`.live-by-${who} tbody`).replaceChildren(...best.map((id) => row(id, p[id])));
      }
    }

    function row(id, p) {
      const { shown, spoken } = names(tokenizer.tokens[id]), line = document.createElement("tr");
      line.innerHTML = `<th scope="row"><span class="live-token" aria-hidden="true"></span><span
        class="live-unseen"></span></th><td><span class="live-bar"></span><span class="live-p"></span></td>`;
      line.querySelector(".live-token").textContent = shown;
      line.querySelector(".live-unseen").textContent = spoken;
      line.querySelector(".live-bar").style.width = `${(100 * p).toFixed(2)}%`;
      line.querySelector(".live-p").textContent = p > 0 ? percent(p) : "cut";
      return line;
    }

    function showSettings() {
      const input = find("#live-temperature"), top = find("#live-top"), all = topK() >= vocabulary;
      find("output[for=live-temperature]").textContent = temperature() > 0
        ? temperature().toFixed(2) : "0: always the likeliest";
      input.setAttribute("aria-valuetext", find("output[for=live-temperature]").textContent);
      find("output[for=live-top]").textContent = all ? `all ${vocabulary.toLocaleString("en")}` : topK();
      top.setAttribute("aria-valuetext", find("output[for=live-top]").textContent);
      drawBars();
    }

    async function writeOn() {
      const began = performance.now(), before = text.value.length;
      let made = 0, spent = 0, drawn = began;
      read();
      setRunning(true);
      say("Writing.");
      while (running && made < MOST) {
        const start = performance.now(), due = Math.min(MOST, 1 + ((start - began) / 1000) * PACE);
        for (; made < due && performance.now() - start < SLICE; made += 1) step();
        spent += performance.now() - start;
        show();
        if (!calm.matches && start - drawn > REST) {
          drawBars();
          drawn = start;
        }
        await new Promise(requestAnimationFrame);
      }
      setRunning(false);
      drawBars();
      const seconds = ((performance.now() - began) / 1000).toFixed(1), each = (spent / made).toFixed(1);
      tell(`${made} tokens in ${seconds} s; to compute one took ${each} ms.`);
      say(`${made} tokens: ${text.value.slice(before).trim()}`);
    }

    function setRunning(now) {
      running = now;
      write.textContent = now ? "Stop" : "Write on";
      text.readOnly = now;
      for (const button of [one, again]) button.setAttribute("aria-disabled", String(now));
      if (now) tell("Writing …");
    }

    write.addEventListener("click", () => { if (running) running = false; else writeOn(); });
    one.addEventListener("click", () => {
      if (running) return;
      const { id, p } = step(), { shown, spoken } = names(tokenizer.tokens[id]);
      show();
      drawBars();
      tell(`It drew “${shown}”, with probability ${percent(p)}.`);
      say(`${spoken}, ${percent(p)}`);
    });
    again.addEventListener("click", () => {
      if (running) return;
      text.value = start;
      drawBars();
      tell("");
      say("The beginning is back.");
    });
    text.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(drawBars, 150);
      tell("");
    });
    find(".live-settings").addEventListener("input", showSettings);
    live.addEventListener("keydown", (event) => { if (event.key === "Escape") running = false; });

    text.value = start;
    panel.replaceWith(live);
    box.querySelector(".live-sample")?.setAttribute("hidden", "");
    showSettings();
    text.focus();
    say("The model is here.");
  }

  function begin() {
    const box = document.getElementById("live-gpt");
    if (box) offer(box);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
