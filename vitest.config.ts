import { defineConfig } from 'vitest/config';

if (Number(process.versions.node.split('.')[0]) < 24) {
  throw new Error(`the tests run on Node 24, not ${process.version}: use npm test, whose node is the workspace's own`);
}

/** Workspace packages are tested as sources, with no build before. */
const conditions = ['@busgate/source'];
const brokerTests = 'packages/*/test/**/*.{conformance,broker}.test.ts';

function project(name: string, include: string[], options: { exclude?: string[]; testTimeout?: number; hookTimeout?: number } = {}) {
  return {
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: { name, include, ...options },
  };
}

export default defineConfig({
  test: {
    projects: [
      project('unit', ['packages/*/test/**/*.test.ts'], { exclude: [brokerTests] }),
      project('conformance', [brokerTests], { testTimeout: 20_000, hookTimeout: 180_000 }),
      project('e2e', ['test/e2e/**/*.test.ts', 'test/support/**/*.test.ts'], { testTimeout: 60_000, hookTimeout: 180_000 }),
      project('outside', ['test/outside/**/*.test.ts'], { testTimeout: 300_000, hookTimeout: 600_000 }),
    ],
  },
});
