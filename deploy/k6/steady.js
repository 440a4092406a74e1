// A constant rate, with a coupon for everybody; virtual users are only there to wait for answers.
// See claim.js for the environment.

import { claim, figuresOf, optionsOf } from './claim.js';
export { handleSummary, setup } from './claim.js';

const figures = figuresOf({ users: 12000, virtualUsers: 400, seconds: 30, rate: 400, twice: 0 });

export const options = optionsOf('steady', {
  executor: 'constant-arrival-rate',
  rate: Math.round(figures.rate), // k6 takes whole numbers only
  timeUnit: '1s',
  duration: `${figures.seconds}s`,
  preAllocatedVUs: figures.virtualUsers,
});

export default function () {
  claim(figures);
}
