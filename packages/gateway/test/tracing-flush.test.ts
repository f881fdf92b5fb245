import { trace, type Tracer } from '@opentelemetry/api';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { TestGateway } from './support/gateway.ts';

afterEach(() => trace.disable());

test('a gateway that ends has the SDK send what it holds, and does not wait for a collector that is away', async () => {
  let flushes = 0;
  const forceFlush = (): Promise<void> => {
    flushes += 1;
    return flushes === 1 ? Promise.reject(new Error('refused')) : new Promise(() => undefined);
  };
  const sdk = { getTracer: () => ({}) as Tracer, forceFlush };
  trace.setGlobalTracerProvider(sdk);
  for (let n = 0; n < 2; n += 1) {
    await using _ = await TestGateway.start(['--tracing']);
  }
  expect(flushes).toBe(2);
});

test('it does so too where the module that brings the SDK has an API of its own, as one that is installed beside the gateway has', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'busgate-api-'));
  const require = createRequire(import.meta.url);
  await cp(dirname(require.resolve('@opentelemetry/api')), folder, { recursive: true });
  const other = require(join(folder, 'index.cjs')) as { readonly trace: typeof trace };
  const flushed = Promise.withResolvers<void>();
  const sdk = { getTracer: () => ({}) as Tracer, forceFlush: async () => flushed.resolve() };
  expect(other.trace.setGlobalTracerProvider(sdk)).toBe(true);
  {
    await using _ = await TestGateway.start(['--tracing']);
  }
  await flushed.promise;
  other.trace.disable();
  await rm(folder, { recursive: true });
});
