// A thousand coupons, and a crowd that keeps coming long after they are gone.
// See claim.js for the environment.

import { claim, figuresOf, optionsOf, think } from './claim.js';
export { handleSummary, setup } from './claim.js';

const figures = figuresOf({ users: 120000, virtualUsers: 1000, seconds: 20 });

export const options = optionsOf('sold-out', {
  executor: 'ramping-vus',
  startVUs: 1,
  // All within one time to think: from then on they are spread evenly over it.
  stages: [
    { duration: `${figures.think}s`, target: figures.virtualUsers },
    { duration: `${figures.seconds - figures.think}s`, target: figures.virtualUsers },
  ],
});

export default function () {
  claim(figures);
  think(figures);
}
