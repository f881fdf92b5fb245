import { describe, expect, test } from 'vitest';
import { nextWait, readRetryAfter } from '../src/forward/retries.ts';
import { keyOf, signedHeaders } from '../src/forward/signing.ts';

const PLENTY = { leftMs: 300_000, retryAfterMs: undefined };

describe('the wait before another attempt', () => {
  test('doubles up to ten seconds, between a half and the whole of it', () => {
    const waits = (random: number): (number | undefined)[] => [1, 2, 3, 6, 7, 50].map((attempts) => nextWait({ ...PLENTY, attempts }, random));
    expect(waits(1)).toEqual([200, 400, 800, 6400, 10_000, 10_000]);
    expect(waits(0)).toEqual([100, 200, 400, 3200, 5000, 5000]);
  });

  test('is never shorter than the backend asked for', () => {
    for (const random of [0, 0.5, 1]) expect(nextWait({ attempts: 1, leftMs: 60_000, retryAfterMs: 7000 }, random)).toBeGreaterThanOrEqual(7000);
  });

  test('is none where the time is over before', () => {
    expect(nextWait({ attempts: 1, leftMs: 100, retryAfterMs: undefined }, 0)).toBeUndefined();
    expect(nextWait({ attempts: 1, leftMs: 5000, retryAfterMs: 5000 }, 0)).toBeUndefined();
  });

  test('is read from seconds or a date', () => {
    const now = Date.parse('Wed, 21 Oct 2015 07:28:00 GMT');
    expect(readRetryAfter('12', now)).toBe(12_000);
    expect(readRetryAfter('Wed, 21 Oct 2015 07:28:30 GMT', now)).toBe(30_000);
    expect(readRetryAfter('Wed, 21 Oct 2015 07:00:00 GMT', now)).toBe(0);
    expect([readRetryAfter('soon', now), readRetryAfter(undefined, now)]).toEqual([undefined, undefined]);
  });
});

test('the vector of the Standard Webhooks specification', () => {
  const key = keyOf('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw');
  const headers = signedHeaders('msg_p5jXN8AQM9LWM0D4loKWxJek', 1_614_265_330, '{"test": 2432232314}', key === undefined ? [] : [key]);
  expect(headers['webhook-signature']).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
});
