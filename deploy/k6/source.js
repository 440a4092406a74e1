// The source's own: 5,000 virtual users for 20,000 coupons, one minute, a gradual increase.
// See claim.js for the environment.

import { claim, figuresOf, optionsOf, think } from './claim.js';
export { handleSummary, setup } from './claim.js';

const figures = figuresOf({ users: 333000, virtualUsers: 5000, seconds: 60 });

export const options = optionsOf('source', {
  executor: 'ramping-vus',
  startVUs: 1,
  stages: [{ duration: `${figures.seconds}s`, target: figures.virtualUsers }],
});

export default function () {
  claim(figures);
  think(figures);
}
