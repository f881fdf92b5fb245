import { subscribe } from 'node:diagnostics_channel';
import { afterEach } from 'vitest';

/** Before the end of a test that runs just now: of tests that run at once it may be another one. */
let again = 0;

subscribe('busgate:conformance:attempted-again', () => {
  again += 1;
});

afterEach(({ task }) => {
  if (again > 0) Object.assign(task.meta, { attemptedAgain: again });
  again = 0;
});
