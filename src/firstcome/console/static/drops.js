// The live stream of this page: numbers are written in place, so that focus and reading place stay.
// Words are the server's: when a state changes, that part of the page is fetched anew.
import { localise } from "/static/moments.js";

const lang = document.documentElement.lang;
const whole = new Intl.NumberFormat(lang, { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat(lang, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const status = document.getElementById("live");
const OLD_MS = 5000;
const RETRY_MS = 5000;
let seenAt = Date.now();
let fetchedAt = Date.now();
let said = "";
let fetching = false;
let source = null;

function say(what) {
  if (what === said) return; // a screen reader reads every change
  said = what;
  status.textContent = status.dataset[what];
  status.className = `live ${what === "on" ? "on" : "lost"}`;
}

function write(root, field, value, format = whole) {
  const text = value === null || value === undefined ? "–" : format.format(value);
  for (const each of root.querySelectorAll(`[data-field="${field}"]`)) {
    if (each.textContent !== text) each.textContent = text;
  }
}

function bar(card, drop) {
  const svg = card.querySelector(".stock");
  if (!svg) return;
  const share = (count) => Math.min(100, (100 * (count || 0)) / drop.stock);
  const issued = share(drop.issued);
  svg.querySelector('[data-bar="issued"]').setAttribute("width", issued);
  svg.querySelector('[data-bar="review"]').setAttribute("x", issued);
  svg.querySelector('[data-bar="review"]').setAttribute("width", share(drop.under_review));
  svg.querySelector('[data-bar="way"]').setAttribute("x", share(drop.issued + drop.under_review));
  svg.querySelector('[data-bar="way"]').setAttribute("width", share(drop.under_way));
  const label = svg.dataset.label.replace("%1", whole.format(drop.issued));
  svg.setAttribute("aria-label", label.replace("%2", whole.format(drop.stock)));
}

function showDrop(card, drop, rates) {
  for (const field of ["stock_left", "issued", "stock", "under_way", "under_review", "cancelled"]) {
    write(card, field, drop[field]);
  }
  write(card, "claims", rates?.claims, tenth);
  write(card, "issuances", rates?.issuances, tenth);
  write(card, "drain_seconds", rates?.drain_seconds, tenth);
  bar(card, drop);
  const l1 = document.querySelector("[data-l1]");
  const given = l1?.dataset.l1.replace("%1", whole.format(drop.issued + drop.under_review));
  if (l1) l1.textContent = given.replace("%2", whole.format(drop.stock));
}

function showVitals(look) {
  const answers = look.told.answers;
  const rate = (kinds) => answers && kinds.reduce((sum, each) => sum + (answers.by_outcome[each] || 0), 0);
  const promised = ["REQUESTED", "ISSUED"];
  const unsaid = ["OUTCOME_UNKNOWN", "TEMPORARILY_UNAVAILABLE"];
  const others = answers && Object.keys(answers.by_outcome).filter((each) => !promised.includes(each) && !unsaid.includes(each));
  const ms = (seconds) => (seconds === null || seconds === undefined ? null : seconds * 1000);
  write(document, "lag_records", look.report.lag_records);
  write(document, "lag_seconds", look.report.lag_seconds, tenth);
  write(document, "p50", ms(answers?.p50_seconds), tenth);
  write(document, "p99", ms(answers?.p99_seconds), tenth);
  write(document, "promised", rate(promised), tenth);
  write(document, "refused", rate(others || []), tenth);
  write(document, "unsaid", rate(unsaid), tenth);
  write(document, "outbox", look.report.outbox.events);
  write(document, "outbox_seconds", look.report.outbox.oldest_seconds, tenth);
}

function showFlow(flow) {
  const mebibytes = (bytes) => (bytes === null ? null : bytes / 1048576);
  const ms = (seconds) => (seconds === null ? null : seconds * 1000);
  write(document, "records_in", flow.records_in, tenth);
  write(document, "records_out", flow.records_out, tenth);
  write(document, "append_failures", flow.append_failures, tenth);
  write(document, "issued_p95", ms(flow.issued_p95_seconds), tenth);
  write(document, "redriven", flow.redriven);
  write(document, "redis_memory", mebibytes(flow.redis_memory_bytes), tenth);
}

// One at a time: while an engine is silent, pages must not queue up behind each other.
async function fetchAnew() {
  if (fetching || Date.now() < fetchedAt + 1000) return;
  fetching = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    fetchedAt = Date.now();
    if (answer.ok && !answer.redirected) replace(await answer.text());
    else fetchedAt += RETRY_MS;
  } catch {
    fetchedAt = Date.now() + RETRY_MS; // the live line says that the connection is lost
  } finally {
    fetching = false;
  }
}

function replace(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  const part = page.querySelector("[data-drops]");
  const old = document.querySelector("[data-drops]");
  if (!part || !old) return;
  const focused = document.activeElement?.getAttribute?.("href");
  // The chart draws on; everything around it is new.
  const chart = old.querySelector("#chart");
  const place = part.querySelector("#chart");
  const rows = old.querySelector("#points tbody");
  const open = old.querySelector("details")?.open;
  const lefts = [...old.querySelectorAll(".wide")].map((each) => each.scrollLeft);
  old.replaceWith(part);
  if (chart && place) place.replaceWith(chart);
  if (rows) part.querySelector("#points tbody")?.replaceWith(rows);
  if (open) part.querySelector("details")?.setAttribute("open", "");
  // State, actions and times of one drop stand above the live part.
  const beside = document.querySelector("[data-beside]");
  const newer = page.querySelector("[data-beside]");
  if (beside && newer) {
    localise(newer);
    beside.replaceWith(newer);
  }
  if (focused && document.activeElement === document.body) {
    document.querySelector(`main [href="${CSS.escape(focused)}"]`)?.focus();
  }
  part.querySelectorAll(".wide").forEach((each, index) => { each.scrollLeft = lefts[index] || 0; });
  localise(part);
}

// As parts.html writes it.
function statesKey(drop) {
  return `${drop.version} ${drop.state} ${drop.gate.state}${drop.stock_left === 0 ? " SOLD_OUT" : ""}`;
}

// As parts.html writes it.
function needsKey(look) {
  return (look.told.asking ? "asking " : "") + look.needs.map((each) => `${each.kind}:${each.campaign_id || ""}:${each.count || ""} `).join("");
}

// As parts.html writes it.
function lawsKey(look, drop) {
  const drift = look.told.drift && Object.entries(look.told.drift[drop.campaign_id] || {});
  const told = drift ? drift.map(([kind, count]) => `${kind}:${count} `).join("") : look.told.asking ? "." : "?";
  return `${drop.issued + drop.under_review > drop.stock ? 1 : 0} ${told}`;
}

function isSame(look) {
  const cards = [...document.querySelectorAll("[data-campaign]")];
  const drops = new Map((look.report?.campaigns || []).map((each) => [String(each.campaign_id), each]));
  const root = document.querySelector("[data-drops]");
  const list = document.querySelector("ul.cards:not(.small)");
  if (list && Number(root.dataset.count) !== drops.size) return false;
  if (root?.dataset.needs !== undefined && root.dataset.needs !== needsKey(look)) return false;
  return cards.every((card) => {
    const drop = drops.get(card.dataset.campaign);
    if (!drop || card.dataset.told !== statesKey(drop)) return false;
    const laws = document.querySelector("[data-laws]"); // of the one drop that the page is about
    return !laws || laws.dataset.laws === lawsKey(look, drop);
  });
}

function show(look) {
  seenAt = Date.now();
  say(look.report ? "on" : "blind");
  const root = document.querySelector("[data-drops]");
  const every = Number(root?.dataset.every || 0) * 1000;
  // The processes are asked only while somebody watches: the first page has none yet.
  const bare = every && look.told.processes.length && !document.querySelector("[data-processes]");
  const still = root?.dataset.still !== undefined;
  const unseen = !document.querySelector("[data-vitals]") !== !look.report;
  if (!still && (unseen || bare || !isSame(look) || (every && Date.now() - fetchedAt >= every))) fetchAnew();
  showFlow(look.told.flow);
  if (!look.report) return;
  for (const drop of look.report.campaigns) {
    const card = document.querySelector(`[data-campaign="${drop.campaign_id}"]`);
    if (card) showDrop(card, drop, look.rates[drop.campaign_id]);
  }
  showVitals(look);
  document.dispatchEvent(new CustomEvent("look", { detail: look }));
}

// A browser has six connections for one console: a page that nobody sees must not keep one.
function listen() {
  if (document.hidden || (source && source.readyState !== EventSource.CLOSED)) return;
  source = new EventSource("/live");
  source.addEventListener("look", (event) => show(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    // The browser tries again by itself, unless it was refused.
    say(source.readyState === EventSource.CLOSED ? "full" : "lost");
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 10000);
  });
}

listen();
addEventListener("pagehide", () => source?.close());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) source?.close();
  else {
    seenAt = Date.now();
    listen();
  }
});
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
setInterval(() => {
  if (!document.hidden && said === "on" && Date.now() - seenAt > OLD_MS) say("old");
}, 1000);
