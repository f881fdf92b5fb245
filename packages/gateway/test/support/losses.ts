import type { Loss } from '../../src/hub/loss.ts';

/** Lossy rooms of each kind, by name. */
export const LOSSES = {
  newest: { slow: 'newest', key: undefined },
  oldest: { slow: 'oldest', key: undefined },
  latest: { slow: 'latest', key: undefined },
  keyed: { slow: 'latest', key: 'k' },
} as const satisfies Readonly<Record<string, Loss>>;
