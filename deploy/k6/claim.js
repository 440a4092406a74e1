// What every scenario shares: who asks, how he asks, and what his answers count as.
//
// One iteration is one user of the crowd. He claims a coupon of his campaign, some at two places
// at the same time, waits a while and goes. Nobody asks again after a 429 or a 503: the built-in
// generator does that. Only when a kept connection breaks does k6's HTTP client itself send a
// request with an Idempotency-Key once more; that counts as one.
//
// Environment (what a scenario does not set itself has the default in brackets):
//   BASE_URL         http://127.0.0.1:<port> of the public port; loopback only
//   CAMPAIGN_IDS     numbers, separated by commas; user n wants the (n mod how many)-th
//   USERS            distinct users; when all have asked, nobody asks any more
//   VIRTUAL_USERS    how many ask at the same time
//   VIRTUAL_SECONDS  how long
//   RATE             users a second, where the scenario is one of a constant rate
//   TWICE            share of the users who ask two times at once [0.1]
//   KEYED            share with an Idempotency-Key [0.5]
//   THINK_SECONDS    from a user's last answer to the next user [1]
//   SEED             who asks twice, who has a key, in which order they come [1]
//   OPENS_AT         seconds since 1970: nobody asks before
//   TOKENS           file with a JSON array of signed tokens, user 0 first; none: X-User-Id
//   SUMMARY          file for the end's summary as JSON; none: k6 prints its own
//   PROMISES         1: a console line for each user who was promised a coupon
//
// Metrics, beside k6's own:
//   served, refused, overloaded, faults   every answer is counted in one of them
//   users, accepted                       who asked; who was promised a coupon; each user once
//   replayed                              answers with Idempotency-Replayed, also in served
//   served_duration, refused_duration     as http_req_duration; replays are in neither
//   clock, accepted_clock                 milliseconds since 1970: the first request, the last answer

import { check, sleep } from 'k6';
import { SharedArray } from 'k6/data';
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter, Gauge, Trend } from 'k6/metrics';

// Answers that the rules ask for, and those that say: come again. Each with its only status.
const REFUSED = {
  DUPLICATE_COUPON_ISSUE: 409,
  COUPON_OUT_OF_STOCK: 409,
  CAMPAIGN_NOT_OPEN: 409,
  CAMPAIGN_CLOSED: 409,
};
const OVERLOADED = {
  TOO_MANY_REQUESTS: 429,
  TEMPORARILY_UNAVAILABLE: 503,
  OUTCOME_UNKNOWN: 503,
  NOT_READY: 503,
};
const PROMISES = { 201: 'ISSUED', 202: 'REQUESTED' };

// As long as a user of the built-in generator waits for an answer.
const ANSWER_TIMEOUT = '10s';
const LOOPBACK = /^http:\/\/(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?$/;
const TREND_STATS = ['avg', 'min', 'med', 'max', 'p(90)', 'p(95)', 'p(99)', 'count'];

const counts = {
  served: new Counter('served'),
  refused: new Counter('refused'),
  overloaded: new Counter('overloaded'),
  faults: new Counter('faults'),
};
const durations = {
  served: new Trend('served_duration', true),
  refused: new Trend('refused_duration', true),
};
const users = new Counter('users');
const accepted = new Counter('accepted');
const replayed = new Counter('replayed');
const clock = new Gauge('clock');
const acceptedClock = new Gauge('accepted_clock');

const tokens = __ENV.TOKENS
  ? new SharedArray('tokens', () => JSON.parse(open(__ENV.TOKENS)))
  : null;
let complained = false;

http.setResponseCallback(http.expectedStatuses(201, 202, 409));

// The figures of a scenario: its own, unless the environment says otherwise.
export function figuresOf(scenario) {
  const number = (name, otherwise) => Number(__ENV[name] || otherwise);
  return {
    campaignIds: (__ENV.CAMPAIGN_IDS || '').split(',').filter((id) => id),
    users: number('USERS', scenario.users),
    virtualUsers: number('VIRTUAL_USERS', scenario.virtualUsers),
    seconds: number('VIRTUAL_SECONDS', scenario.seconds),
    rate: number('RATE', scenario.rate),
    twice: number('TWICE', scenario.twice === undefined ? 0.1 : scenario.twice),
    keyed: number('KEYED', 0.5),
    think: number('THINK_SECONDS', 1),
    seed: number('SEED', 1),
  };
}

export function optionsOf(name, executor) {
  return {
    scenarios: { [name]: executor },
    // Only crossed or not: what a machine can do is for whoever compares to say.
    thresholds: {
      checks: ['rate==1'],
      http_req_failed: ['rate<0.01'],
      served_duration: ['p(95)<500'],
      refused_duration: ['p(95)<500'],
      overloaded: ['count==0'],
      faults: ['count==0'],
    },
    summaryTrendStats: TREND_STATS,
    // Without the address: each campaign would become a series of its own.
    systemTags: ['name', 'status', 'scenario', 'check', 'expected_response', 'error_code'],
    setupTimeout: '600s',
    noCookiesReset: true,
  };
}

// Runs once, when all virtual users are there: wait for the doors to open.
export function setup() {
  if (!LOOPBACK.test(__ENV.BASE_URL || '')) {
    throw new Error(`BASE_URL must be http://127.0.0.1:<port>, and is ${__ENV.BASE_URL}`);
  }
  if (!/^\d+(,\d+)*$/.test(__ENV.CAMPAIGN_IDS || '')) {
    throw new Error(`CAMPAIGN_IDS must be numbers as in 1,2, and is ${__ENV.CAMPAIGN_IDS}`);
  }
  const ahead = Number(__ENV.OPENS_AT || 0) - Date.now() / 1000;
  if (ahead > 0) sleep(ahead);
}

// The next user asks; `again`: once more a while later, whatever he was told.
export function claim(figures, again = false) {
  const index = exec.scenario.iterationInTest;
  if (index >= figures.users) {
    sleep(1); // all have asked: stand still until the time is over
    return;
  }
  const user = userAt(figures, index);
  const request = requestOf(figures, user);
  const began = Date.now();
  users.add(1);
  clock.add(began);
  let answers = chance(figures, user, 1) < figures.twice ? ask(request, 2) : ask(request, 1);
  if (again) {
    sleep(figures.think);
    answers = answers.concat(ask(request, 1));
  }
  judge(figures, user, began, answers);
}

export function think(figures) {
  sleep(figures.think);
}

export function handleSummary(data) {
  // Nothing returned: k6 prints the summary that it has without this function.
  return __ENV.SUMMARY ? { [__ENV.SUMMARY]: JSON.stringify(data) } : undefined;
}

function ask(request, times) {
  const { method, url, params } = request;
  const heard = times === 1 ? [http.request(method, url, null, params)] : http.batch([request, request]);
  clock.add(Date.now());
  return heard.map(count);
}

// Counts one answer, and says what it is: kind, position, replay.
function count(answer) {
  const told = read(answer);
  counts[told.kind].add(1);
  if (told.replay) {
    replayed.add(1);
  } else if (told.kind in durations) {
    durations[told.kind].add(answer.timings.duration);
  }
  const known = check(answer, { 'an answer of the contract': () => told.kind !== 'faults' });
  if (!known && !complained) {
    complained = true; // one of each virtual user tells enough
    const body = String(answer.body).slice(0, 80);
    console.warn(`fault ${answer.status} ${answer.error_code} ${answer.error} ${body}`);
  }
  return told;
}

function read(answer) {
  const body = bodyOf(answer);
  const type = answer.headers['Content-Type'] || '';
  if (PROMISES[answer.status]) {
    const kept = body.status === PROMISES[answer.status] && body.position > 0;
    const replay = kept && answer.headers['Idempotency-Replayed'] === 'true';
    return { kind: kept ? 'served' : 'faults', position: body.position, replay };
  }
  const problem = type.startsWith('application/problem+json') && body.status === answer.status;
  if (problem && REFUSED[body.code] === answer.status) return { kind: 'refused' };
  if (problem && OVERLOADED[body.code] === answer.status) return { kind: 'overloaded' };
  return { kind: 'faults' };
}

function bodyOf(answer) {
  try {
    return JSON.parse(answer.body) || {};
  } catch {
    return {};
  }
}

// A user has one place, however often he asked.
function judge(figures, user, began, answers) {
  const served = answers.filter((told) => told.kind === 'served');
  if (answers.length > 1) {
    const first = served.filter((told) => !told.replay).length;
    const places = new Set(served.map((told) => told.position)).size;
    check(null, { 'one place for a user': () => first <= 1 && places <= 1 });
  }
  if (!served.length) return;
  accepted.add(1);
  acceptedClock.add(Date.now());
  if (__ENV.PROMISES) {
    console.log(`promise ${nameOf(user)} ${campaignOf(figures, user)} ${served[0].position} ${began}`);
  }
}

// Users come in an order that no index likes, yet of every campaign in turn. Multiplying by a
// number without a common divisor meets each of them once.
function userAt(figures, index) {
  const campaigns = figures.campaignIds.length;
  const rounds = Math.floor(figures.users / campaigns);
  const round = Math.floor(index / campaigns);
  if (round >= rounds) return index;
  figures.stride = figures.stride || strideOf(rounds);
  return ((round * figures.stride + figures.seed) % rounds) * campaigns + (index % campaigns);
}

function strideOf(rounds) {
  let stride = Math.max(1, Math.floor(rounds * 0.618)); // far from the one before, and the one before that
  while (divisor(stride, rounds) !== 1) stride += 1;
  return stride;
}

function divisor(one, other) {
  return other === 0 ? one : divisor(other, one % other);
}

function requestOf(figures, user) {
  const name = nameOf(user);
  const headers = tokens ? { Authorization: `Bearer ${tokens[user]}` } : { 'X-User-Id': name };
  if (chance(figures, user, 2) < figures.keyed) {
    headers['Idempotency-Key'] = `drop-${figures.seed}-${user}`;
  }
  const url = `${__ENV.BASE_URL}/v1/campaigns/${campaignOf(figures, user)}/issuances`;
  return { method: 'POST', url, params: { headers, timeout: ANSWER_TIMEOUT, tags: { name: 'claim' } } };
}

function campaignOf(figures, user) {
  return figures.campaignIds[user % figures.campaignIds.length];
}

function nameOf(user) {
  return `u${String(user).padStart(8, '0')}`;
}

// A number from 0 to 1 that hangs on seed, user and trait alone (an integer hash, by
// multiplication and shift).
function chance(figures, user, trait) {
  let hash = Math.imul(user + 1, 0x9e3779b1) ^ Math.imul(figures.seed * 4 + trait, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d);
  hash = Math.imul(hash ^ (hash >>> 15), 0x846ca68b);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
