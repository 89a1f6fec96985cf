// The bowl of the start page: twenty steps of gradient descent on J(w) = w²/2, by hand.

(function () {
  "use strict";
  const STEPS = 20;
  const WIDTH = 360, HEIGHT = 220, LEFT = 20, BOTTOM = 190;
  const REACH = 1.6; // the part of the bowl that is drawn: w from -REACH to REACH

  const across = (w) => LEFT + ((w + REACH) / (2 * REACH)) * (WIDTH - 2 * LEFT);
  const up = (w) => BOTTOM - ((w * w) / (REACH * REACH)) * 165;

  function walk(rate) {
    const path = [1];
    for (let step = 0; step < STEPS; step += 1) path.push(path[step] - rate * path[step]);
    return path;
  }

  function verdict(rate) {
    if (Math.abs(rate - 1) < 1e-9) return "One step, and it is there.";
    if (rate < 1) return "It walks down one side.";
    if (rate < 2 - 1e-9) return "It leaps from side to side, and comes nearer.";
    if (rate < 2 + 1e-9) return "It leaps from side to side for ever.";
    return "It leaps out of the bowl.";
  }

  function drawing(path) {
    const bowl = [];
    for (let w = -REACH; w <= REACH + 1e-9; w += 0.05) bowl.push(`${across(w)},${up(w)}`);
    const seen = path.filter((w) => Math.abs(w) <= REACH).map((w) => [across(w), up(w)]);
    const dots = seen.map(([x, y], i) => `<circle cx="${x}" cy="${y}" r="${i ? 4 : 6}"/>`).join("");
    return `<polyline class="bowl-wall" points="${bowl.join(" ")}"/>
      <polyline class="bowl-walk" points="${seen.join(" ")}"/><g class="bowl-dots">${dots}</g>
      <text x="${across(0)}" y="${BOTTOM + 20}" text-anchor="middle">w = 0</text>
      <text x="${across(1)}" y="${BOTTOM + 20}" text-anchor="middle">start: w = 1</text>`;
  }

  function start() {
    const box = document.getElementById("bowl");
    if (!box) return;
    box.innerHTML = `
      <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="bowl-said"></svg>
      <label for="bowl-rate">Learning rate <output id="bowl-value" for="bowl-rate"></output></label>
      <input id="bowl-rate" type="range" min="0.05" max="2.2" step="0.05" value="0.1">
      <p id="bowl-said" aria-live="polite"></p>`;
    const slider = box.querySelector("input");
    const show = () => {
      const rate = Number(slider.value);
      const path = walk(rate);
      box.querySelector("svg").innerHTML = drawing(path);
      box.querySelector("output").textContent = rate.toFixed(2);
      box.querySelector("p").textContent =
        `After ${STEPS} steps w is ${path[STEPS].toFixed(4).replace("-0.0000", "0.0000")}. ${verdict(rate)}`;
    };
    slider.addEventListener("input", show);
    show();
    box.hidden = false;
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
