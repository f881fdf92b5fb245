import { trace } from '@opentelemetry/api';
import { expect, test } from 'vitest';
import { TracedDelivery } from '../src/hub/traced-delivery.ts';
import { TracedStep } from '../src/tracing.ts';

test('a delivery ends with the last of its lanes, and what these carry afterwards is none of its', () => {
  let ends = 0;
  const span = trace.wrapSpanContext({ traceId: '', spanId: '', traceFlags: 0 });
  const step = new TracedStep(Object.assign(span, { end: () => void (ends += 1) }));
  const lane = (end: number) => {
    const carrier = { end, flushed: 0, isFlushed: (upTo: number): boolean => carrier.flushed >= upTo };
    return carrier;
  };
  const lanes = [lane(10), lane(20)];
  const delivery = new TracedDelivery('room', step, lanes);
  for (const one of lanes) one.end += 100;
  expect([delivery.visit(), ends]).toEqual([false, 0]);
  Object.assign(lanes[0] as object, { flushed: 10 });
  expect([delivery.visit(), ends]).toEqual([false, 0]);
  Object.assign(lanes[1] as object, { flushed: 20 });
  expect([delivery.visit(), ends]).toEqual([true, 1]);
});
