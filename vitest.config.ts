import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

if (Number(process.versions.node.split('.')[0]) < 24) {
  throw new Error(`the tests run on Node 24, not ${process.version}: use npm test, whose node is the workspace's own`);
}

/** Workspace packages are tested as sources, with no build before. */
const conditions = ['@busgate/source'];
const brokerTests = 'packages/*/test/**/*.{conformance,broker}.test.ts';

interface ProjectOptions {
  exclude?: string[];
  testTimeout: number;
  hookTimeout: number;
  maxWorkers?: number;
  setupFiles?: string[];
}

/** How long a poll waits for what must come: as long as every other wait, since a busy machine is late with everything. */
const PATIENCE_MS = 30_000;

/** Files run at once: they wait more than they compute, for brokers and for what must expire. */
const AT_ONCE = 3;
/** The same for files that start whole fleets. */
const FLEETS_AT_ONCE = 2;

/** What processes of the tests have compiled, for the next ones: one that starts takes a third of the time. */
const COMPILED = join(import.meta.dirname, 'node_modules/.cache/busgate-tests');

/** Counts what the suite of layers attempted again, for .ci/count.mjs. */
const setupFiles = ['test/support/attempts.ts'];

/** Of the outer ring, what waits for brokers and workers, and needs neither containers nor a browser nor a cluster of NATS, whose servers elect. */
const waiting = ['test/outside/redis/**/*.test.ts', 'test/outside/{asgi,coming-from,event-workers*,heartbeats,leases,soaks}.test.ts'];

/** One project after the other, in this order; the last one runs its files one by one. */
function project(groupOrder: number, name: string, include: string[], options: ProjectOptions) {
  return {
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: { name, include, sequence: { groupOrder }, expect: { poll: { timeout: PATIENCE_MS } }, env: { NODE_COMPILE_CACHE: COMPILED }, ...options },
  };
}

export default defineConfig({
  test: {
    projects: [
      project(1, 'unit', ['packages/*/test/**/*.test.ts'], { exclude: [brokerTests], testTimeout: 60_000, hookTimeout: 60_000, maxWorkers: AT_ONCE }),
      project(2, 'conformance', [brokerTests], { testTimeout: 120_000, hookTimeout: 180_000, maxWorkers: AT_ONCE, setupFiles }),
      project(3, 'e2e', ['test/e2e/**/*.test.ts', 'test/support/**/*.test.ts'], { testTimeout: 120_000, hookTimeout: 180_000, maxWorkers: FLEETS_AT_ONCE }),
      project(4, 'outside-waiting', waiting, { testTimeout: 300_000, hookTimeout: 600_000, maxWorkers: FLEETS_AT_ONCE, setupFiles }),
      project(5, 'outside', ['test/outside/**/*.test.ts'], { exclude: waiting, testTimeout: 300_000, hookTimeout: 600_000, maxWorkers: 1, setupFiles }),
    ],
  },
});
