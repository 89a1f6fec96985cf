// What the pages do beyond showing themselves. Everything can be read without this file.

(function () {
  "use strict";
  const root = document.documentElement;

  function remember(key, value) {
    try {
      localStorage.setItem(key, value);
    } catch (error) {
      // Storage may be barred; the choice then lasts as long as the page.
    }
  }

  // One switch for the page: PyTorch, TensorFlow, or both (side by side on wide screens).
  function setUpSwitch() {
    const buttons = [...document.querySelectorAll("#framework-switch button")];
    if (!buttons.length) return;
    const labels = (name) => document.querySelectorAll(`.framework-tabs label[data-sync-id="${name}"]`);
    const chosen = () => {
      if (root.dataset.columns === "on") return "both";
      const input = document.getElementById(labels("tensorflow")[0]?.htmlFor);
      return input?.checked ? "tensorflow" : "pytorch";
    };
    const show = () => {
      const now = chosen();
      for (const one of buttons) one.setAttribute("aria-pressed", String(one.dataset.framework === now));
      markScrollers();
    };
    for (const one of buttons) {
      one.addEventListener("click", () => {
        const wanted = one.dataset.framework;
        root.dataset.columns = wanted === "both" ? "on" : "off";
        remember("course-columns", root.dataset.columns);
        if (wanted !== "both") labels(wanted)[0]?.click();
        show();
      });
    }
    document.addEventListener("change", show);
    show();
  }

  // The radio buttons of a pair of tabs are a group with a name.
  function nameTabs() {
    for (const tabs of document.querySelectorAll(".framework-tabs")) {
      tabs.setAttribute("role", "group");
      tabs.setAttribute("aria-label", "Framework");
    }
  }

  // What scrolls sideways can be reached and scrolled from the keyboard.
  function markScrollers() {
    for (const box of document.querySelectorAll(".math-scroll, .bd-article pre, .bd-article .table")) {
      if (box.scrollWidth > box.clientWidth + 1) {
        box.tabIndex = 0;
      } else {
        box.removeAttribute("tabindex");
      }
    }
  }

  // What a reader has done is ticked in the menu; the ticks stay in this browser.
  function setUpTicks() {
    const read = () => {
      try {
        return JSON.parse(localStorage.getItem("course-done")) || [];
      } catch (error) {
        return [];
      }
    };
    const base = new URL(root.dataset.content_root || "./", location.href).pathname;
    const nameOf = (address) => new URL(address, location.href).pathname.replace(base, "");
    const links = [...document.querySelectorAll(".bd-sidebar-primary nav a.reference")];
    const show = () => {
      const done = new Set(read());
      for (const link of links) {
        const ticked = done.has(nameOf(link.href));
        link.classList.toggle("done", ticked);
        if (ticked) link.setAttribute("aria-description", "done");
        else link.removeAttribute("aria-description");
      }
      return done;
    };
    const chips = document.querySelector(".page-meta");
    if (chips) {
      const here = nameOf(location.href);
      const button = document.createElement("button");
      button.type = "button";
      button.className = "done-button";
      const label = () => {
        const ticked = show().has(here);
        button.setAttribute("aria-pressed", String(ticked));
        button.textContent = ticked ? "✓ Done" : "Mark this page as done";
      };
      button.addEventListener("click", () => {
        const done = new Set(read());
        if (!done.delete(here)) done.add(here);
        remember("course-done", JSON.stringify([...done]));
        label();
      });
      document.querySelector("article").append(button);
      label();
    } else show();
  }

  // Paper cannot be unfolded, and is white.
  function setUpPaper() {
    const paper = window.matchMedia("print");
    let closed = [];
    let theme = root.dataset.theme;
    paper.addEventListener("change", () => {
      if (paper.matches) {
        theme = root.dataset.theme;
        root.dataset.theme = "light";
        closed = [...document.querySelectorAll("article details:not([open])")];
        for (const image of document.querySelectorAll("img[loading=lazy]")) image.loading = "eager";
      } else {
        root.dataset.theme = theme;
      }
      for (const details of closed) details.open = paper.matches;
    });
  }

  // Widgets stand in sandboxed frames, which can neither see the page nor touch its address. (As
  // frames the same stored output lives here, in other viewers of notebooks and in a page opened
  // from a folder, where a module of the site could not be loaded.) The page tells each one its
  // theme and what the address holds for it; it tells the page its height and its state. In the
  // address a widget's values are NAME.key=value; a copied link ends with #widget-NAME.
  function setUpWidgets() {
    const frames = [...document.querySelectorAll("iframe[data-course-widget]")];
    if (!frames.length) return;
    const nameOf = (frame) => frame.dataset.courseWidget;
    const tell = (frame, words) => frame.contentWindow.postMessage({ course: "page", ...words }, "*");
    const theme = () => root.dataset.theme || "light";

    function fromAddress(frame) {
      const start = nameOf(frame) + ".";
      const pairs = [...new URLSearchParams(location.search)];
      const own = pairs.filter(([key]) => key.startsWith(start));
      return Object.fromEntries(own.map(([key, value]) => [key.slice(start.length), value]));
    }

    function toAddress(frame, state) {
      const address = new URL(location.href);
      for (const [key, value] of Object.entries(state)) {
        if (/^[a-z]{1,20}$/.test(key) && /^[\w.-]{1,20}$/.test(value)) {
          address.searchParams.set(`${nameOf(frame)}.${key}`, value);
        }
      }
      history.replaceState(history.state, "", address);
      address.hash = `widget-${nameOf(frame)}`;
      return address.href;
    }

    function copy(frame, link) {
      const done = (copied) => tell(frame, { copied });
      if (!navigator.clipboard) done(false);
      else navigator.clipboard.writeText(link).then(() => done(true), () => done(false));
    }

    const greet = (frame) => tell(frame, { theme: theme(), state: fromAddress(frame) });
    window.addEventListener("message", ({ source, data }) => {
      const frame = frames.find((one) => one.contentWindow === source);
      if (!frame || !data || data.course !== "widget") return;
      if (data.ready) greet(frame);
      if (data.height > 0 && data.height < 5000) frame.style.height = `${data.height}px`;
      const link = data.state ? toAddress(frame, data.state) : "";
      if (data.copy && link) copy(frame, link);
    });
    frames.forEach(greet); // those that were ready before this script
    new MutationObserver(() => frames.forEach((frame) => tell(frame, { theme: theme() })))
      .observe(root, { attributeFilter: ["data-theme"] });
  }

  function start() {
    setUpSwitch();
    setUpTicks();
    setUpWidgets();
    nameTabs();
    setUpPaper();
    markScrollers();
    window.addEventListener("resize", markScrollers);
    document.addEventListener("change", markScrollers);
    document.addEventListener("toggle", markScrollers, true);
    document.fonts?.ready.then(markScrollers);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
