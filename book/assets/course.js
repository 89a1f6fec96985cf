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

  // Both frameworks side by side on wide screens: one button, remembered.
  function setUpColumns() {
    const button = document.getElementById("columns-toggle");
    if (!button) return;
    const show = () => button.setAttribute("aria-pressed", String(root.dataset.columns === "on"));
    button.addEventListener("click", () => {
      root.dataset.columns = root.dataset.columns === "on" ? "off" : "on";
      remember("course-columns", root.dataset.columns);
      show();
      markScrollers();
    });
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
      } else {
        root.dataset.theme = theme;
      }
      for (const details of closed) details.open = paper.matches;
    });
  }

  function start() {
    setUpColumns();
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
