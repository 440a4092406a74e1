/*
  Draws the charts of the comparison report with uPlot, each when it comes into sight.
  #charts: JSON, one entry a chart: unit, top (of the scale, or null), x (seconds), names, colours
  (of the style's --c-<name>), y (a list of values for each name, null for a gap).
  [data-chart]: the place of a chart, by its number in #charts. td.now: its legend's value under the
  cursor, which the mouse or the arrow keys move.
*/
"use strict";
(() => {
  const all = JSON.parse(document.getElementById("charts").textContent);
  const places = [...document.querySelectorAll("[data-chart]")];
  const drawn = new Map();
  const root = document.documentElement;
  const spare = ["--c-1", "--c-2", "--c-3", "--c-4", "--c-5", "--c-6"];
  const style = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const colour = (name, index) => style(`--c-${name}`) || style(spare[index % spare.length]);
  const short = (value) => {
    const size = Math.abs(value);
    if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
    if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
    return `${+value.toPrecision(4)}`;
  };

  function options(entry, place, width) {
    const text = style("--soft"), line = style("--line");
    const axis = { stroke: text, font: "11px system-ui, sans-serif", grid: { stroke: line, width: 1 }, ticks: { show: false } };
    const cells = [...place.parentElement.querySelectorAll("td.now")];
    return {
      width,
      height: 170,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 5 } },
      scales: { x: { time: false }, y: { range: (_, least, most) => [0, Math.max(entry.top ?? most ?? 0, 1e-9) * 1.05 || 1] } },
      axes: [
        { ...axis, size: 26, space: 60, values: (_, ticks) => ticks.map((tick) => `${tick} s`) },
        { ...axis, size: 46, space: 34, values: (_, ticks) => ticks.map(short) },
      ],
      series: [{}, ...entry.names.map((name, index) => ({
        label: name, stroke: colour(entry.colours[index], index), width: 1.6, points: { show: entry.x.length < 3 }, spanGaps: false,
      }))],
      hooks: {
        setCursor: [(plot) => {
          const at = plot.cursor.idx;
          cells.forEach((cell, index) => {
            if (at == null) cell.textContent = "";
            else if (index === 0) cell.textContent = `${entry.x[at]} s`;
            else cell.textContent = entry.y[index - 1][at] == null ? "–" : short(entry.y[index - 1][at]);
          });
        }],
      },
    };
  }

  function draw(place) {
    const width = Math.floor(place.clientWidth);
    if (!width) return;
    drawn.get(place)?.destroy();
    const entry = all[place.dataset.chart];
    drawn.set(place, new uPlot(options(entry, place, width), [entry.x, ...entry.y], place));
  }

  places.forEach((place) => place.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    const plot = drawn.get(place);
    if (step === undefined || !plot) return;
    event.preventDefault();
    const last = plot.data[0].length - 1;
    const at = Math.min(last, Math.max(0, (plot.cursor.idx ?? (step > 0 ? -1 : last + 1)) + step));
    plot.setCursor({ left: plot.valToPos(plot.data[0][at], "x"), top: 10 });
  }));

  const seen = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (entry.isIntersecting && !drawn.has(entry.target)) draw(entry.target);
  }), { rootMargin: "300px" });
  places.forEach((place) => seen.observe(place));

  const sized = new ResizeObserver((entries) => entries.forEach(({ target, contentRect }) => {
    const plot = drawn.get(target), width = Math.floor(contentRect.width);
    if (plot && width && plot.width !== width) plot.setSize({ width, height: plot.height });
  }));
  places.forEach((place) => sized.observe(place));

  const again = () => [...drawn.keys()].forEach(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);

  // Paper gets every chart, in light colours, whatever was opened on the screen.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((details) => { details.open = true; });
    root.classList.add("paper");
    places.forEach(draw);
  });
  addEventListener("afterprint", () => {
    closed.forEach((details) => { details.open = false; });
    root.classList.remove("paper");
    again();
  });
})();
