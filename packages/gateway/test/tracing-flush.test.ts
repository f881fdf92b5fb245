import { trace, type Tracer } from '@opentelemetry/api';
import { expect, test } from 'vitest';
import { TestGateway } from './support/gateway.ts';

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
