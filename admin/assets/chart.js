// The points of the charts of admin/chart: a tooltip with the exact values, by
// pointer and by keyboard. One listener of each kind on the document, so that
// figures that are replaced while the page stands go on to work.
(() => {
  "use strict";

  const margin = 8;
  let tip = null; // the tooltip, made when it is first needed
  let shown = null; // the point it belongs to
  let leaving; // the timer that will hide it

  const pointOf = (event) => (event.target instanceof Element ? event.target.closest(".chart .point") : null);

  // The focused point by the id of its figure and its place in it: a figure that
  // is replaced by a newer one of the same id gets the focus back.
  let focused = null;

  const gone = new MutationObserver(() => {
    if (shown && !shown.isConnected) hide();
    if (!focused || focused.point.isConnected) return;
    const again = document.getElementById(focused.figure)?.querySelectorAll(".point")[focused.index];
    focused = null;
    if (again && document.activeElement === document.body) again.focus({ preventScroll: true });
  });

  function hide() {
    clearTimeout(leaving);
    shown = null;
    if (tip) tip.hidden = true;
  }

  // A line of data-tip is a class for the colour, a name and a value, with tabs
  // between. Names are anybody's: they go through textContent alone.
  function line(text) {
    const [colour, name, value] = text.split("\t");
    const row = document.createElement("div");
    if (/^[a-z0-9 ]+$/.test(colour)) row.appendChild(document.createElement("i")).className = colour;
    row.appendChild(document.createElement("bdi")).textContent = name;
    row.appendChild(document.createElement("span")).textContent = value;
    return row;
  }

  function show(point) {
    clearTimeout(leaving);
    if (!tip) {
      tip = document.createElement("div");
      tip.className = "chart-tip";
      tip.setAttribute("aria-hidden", "true"); // the point's aria-label says the same
    }
    if (!tip.isConnected) document.body.appendChild(tip);
    if (shown !== point) {
      tip.replaceChildren(...point.dataset.tip.split("\n").map(line));
      shown = point;
    }
    tip.hidden = false;
    place(point.getBoundingClientRect());
  }

  // Above the point, so that the way to the next one is free; below or beside it
  // where there is no room, never over the edge of the window.
  function place(at) {
    const width = document.documentElement.clientWidth;
    const height = document.documentElement.clientHeight;
    const box = tip.getBoundingClientRect();
    let x = (at.left + at.right - box.width) / 2;
    let y = at.top - box.height - 2;
    if (y < margin) y = at.bottom + 2;
    if (y + box.height + margin > height) {
      y = at.top;
      x = at.right + margin + box.width + margin > width ? at.left - margin - box.width : at.right + margin;
    }
    tip.style.left = Math.round(Math.max(margin, Math.min(x, width - margin - box.width))) + "px";
    tip.style.top = Math.round(Math.max(margin, Math.min(y, height - margin - box.height))) + "px";
  }

  function move(point, key) {
    const points = [...point.closest(".chart").querySelectorAll(".point")];
    const i = points.indexOf(point);
    const to = {
      ArrowRight: i + 1, ArrowDown: i + 1, ArrowLeft: i - 1, ArrowUp: i - 1, Home: 0, End: points.length - 1,
    }[key];
    if (to === undefined) return false;
    points[Math.max(0, Math.min(to, points.length - 1))].focus();
    return true;
  }

  // Where the pointer is on neither a point nor the tooltip, the focused point's
  // is shown again, or none; after a moment, so that it can get from one to the
  // other (WCAG 1.4.13).
  function left() {
    clearTimeout(leaving);
    leaving = setTimeout(() => {
      if (focused && shown && focused.point.isConnected) show(focused.point);
      else hide();
    }, 250);
  }

  document.addEventListener("pointerover", (event) => {
    const point = pointOf(event);
    if (point) show(point);
    else if (tip?.contains(event.target)) clearTimeout(leaving);
    else if (shown) left();
  });
  document.documentElement.addEventListener("pointerleave", () => shown && left());
  document.addEventListener("focusin", (event) => {
    const point = pointOf(event);
    if (!point) return;
    const figure = point.closest(".chart");
    focused = { point, figure: figure.id, index: [...figure.querySelectorAll(".point")].indexOf(point) };
    // The point that was left last is where the tabulator comes back to.
    for (const other of figure.querySelectorAll('.point[tabindex="0"]')) other.setAttribute("tabindex", "-1");
    point.setAttribute("tabindex", "0");
    show(point);
  });
  document.addEventListener("focusout", (event) => {
    const point = pointOf(event);
    if (!point) return;
    hide();
    // Some browsers say this of an element that is being removed, too.
    setTimeout(() => {
      if (focused?.point === point && point.isConnected) focused = null;
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hide();
    const point = pointOf(event);
    if (!point || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (move(point, event.key)) event.preventDefault();
  });
  gone.observe(document.documentElement, { childList: true, subtree: true });
  document.addEventListener("scroll", () => shown && place(shown.getBoundingClientRect()), { capture: true, passive: true });
})();
