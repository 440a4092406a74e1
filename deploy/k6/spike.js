// Everybody at the opening second: 60,000 people, as fast as 5,000 virtual users get answers.
// See claim.js for the environment.

import { claim, figuresOf, optionsOf } from './claim.js';
export { handleSummary, setup } from './claim.js';

const figures = figuresOf({ users: 60000, virtualUsers: 5000, seconds: 20 });

export const options = optionsOf('spike', {
  executor: 'shared-iterations',
  vus: Math.min(figures.virtualUsers, figures.users),
  iterations: figures.users,
  maxDuration: `${figures.seconds}s`,
});

export default function () {
  claim(figures);
}
