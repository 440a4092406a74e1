// The chart of one drop: what the server remembers, then every look. The table says the same.
let place = null;
const lang = document.documentElement.lang;
const tenth = new Intl.NumberFormat(lang, { maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const told = (at) => clock.format(new Date(at * 1000));
const KEPT = 900;
const ROWS = 15;
const SHOWN_SECONDS = 60;
const data = [[], [], [], []];
let plot = null;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function options() {
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
  return {
    width: place.clientWidth,
    height: 240,
    axes: [{ ...axis, space: 90, values: (_, moments) => moments.map(told) }, { ...axis, size: 64 }, { ...axis, side: 1, scale: "way", size: 64, grid: { show: false } }],
    series: [
      { label: place.dataset.when, value: (_, at) => (at === null || at === undefined ? "–" : told(at)) },
      { label: place.dataset.claims, stroke: colour("--way"), width: 2 },
      { label: place.dataset.issuances, stroke: colour("--main"), width: 2 },
      { label: place.dataset.way, stroke: colour("--soft"), scale: "way", dash: [4, 4] },
    ],
    // A chart of seconds alone would tell milliseconds.
    scales: { x: { range: (_, first, last) => [Math.min(first, last - SHOWN_SECONDS), last] }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] }, way: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } },
  };
}

function add(at, claims, issuances, way) {
  [at, claims, issuances, way].forEach((value, index) => data[index].push(value ?? null));
  if (data[0].length > KEPT) data.forEach((each) => each.shift());
}

function draw() {
  if (plot) plot.setData(data);
  else plot = new uPlot(options(), data, place);
  table();
}

function table() {
  const body = document.querySelector("#points tbody");
  if (!body) return;
  const shown = (value) => (value === null ? "–" : tenth.format(value));
  const rows = [];
  for (let index = data[0].length - 1; index >= 0 && rows.length < ROWS; index -= 1) {
    const row = document.createElement("tr");
    const texts = [told(data[0][index]), ...[1, 2, 3].map((each) => shown(data[each][index]))];
    texts.forEach((text, column) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      if (column) cell.className = "n";
      row.append(cell);
    });
    rows.push(row);
  }
  body.replaceChildren(...rows);
}

function redraw() {
  plot?.destroy();
  plot = null;
  draw();
}

function see(look) {
  const number = place.dataset.points.split("/")[2];
  const drop = look.report.campaigns.find((each) => String(each.campaign_id) === number);
  if (!drop || (data[0].length && look.at <= data[0][data[0].length - 1])) return;
  const rates = look.rates[number];
  add(look.at, rates.claims, rates.issuances, drop.under_way);
  draw();
}

async function begin(found) {
  place = found;
  data.forEach((each) => { each.length = 0; });
  const answer = await fetch(place.dataset.points);
  const points = answer.ok ? await answer.json() : [];
  for (const each of points) add(each.at, each.claims, each.issuances, each.under_way);
  draw();
}

// A page that was opened before its drop was seen gets its chart later.
document.addEventListener("look", ({ detail: look }) => {
  const found = document.getElementById("chart");
  if (found && !place) begin(found);
  else if (plot) see(look);
});
// What was missed while nobody saw the page.
document.addEventListener("visibilitychange", () => { if (!document.hidden && plot) begin(place); });
addEventListener("resize", () => { if (plot) redraw(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (plot) redraw(); });
if (document.getElementById("chart")) begin(document.getElementById("chart"));
