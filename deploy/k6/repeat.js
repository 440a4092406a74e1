// A storm of repeats: everybody asks two times at once, and a third time a second later.
// See claim.js for the environment.

import { claim, figuresOf, optionsOf, think } from './claim.js';
export { handleSummary, setup } from './claim.js';

const figures = figuresOf({ users: 60000, virtualUsers: 1000, seconds: 20, twice: 1 });

export const options = optionsOf('repeat', {
  executor: 'ramping-vus',
  startVUs: 1,
  // All within one time to think: from then on they are spread evenly over it.
  stages: [
    { duration: `${figures.think}s`, target: figures.virtualUsers },
    { duration: `${figures.seconds - figures.think}s`, target: figures.virtualUsers },
  ],
});

export default function () {
  claim(figures, true);
  think(figures);
}
