import { describe, expect, test } from 'vitest';
import { LeaseWatch } from '../src/lease-watch.ts';

function watchAt(): { watch: LeaseWatch; pass: (ms: number) => void } {
  let now = 0;
  return { watch: new LeaseWatch(() => now), pass: (ms) => void (now += ms) };
}

const alive = (renewal: number, ttlMs = 1000): { ttlMs: number; renewal: number } => ({ ttlMs, renewal });

describe('which leases are silent', () => {
  test('one is, once nothing new of it was heard for as long as it lasts itself', () => {
    const { watch, pass } = watchAt();
    watch.heard('brief', alive(1, 500));
    watch.heard('long', alive(1, 2000));
    pass(499);
    expect(watch.silent).toEqual([]);
    pass(1);
    expect(watch.silent).toEqual(['brief']);
    pass(1500);
    expect(watch.silent).toEqual(['brief', 'long']);
  });

  test('how long until the next one is silent is known of those alone that have a twentieth of their time left', () => {
    const { watch, pass } = watchAt();
    watch.heard('late', alive(1, 1000));
    pass(949);
    expect(watch.nextSilentMs).toBe(undefined);
    watch.heard('ended', 'ended');
    watch.heard('brief', alive(1, 60));
    pass(1);
    expect(watch.nextSilentMs).toBe(50);
    pass(8);
    expect(watch.nextSilentMs).toBe(42);
    pass(49);
    expect([watch.silent, watch.nextSilentMs]).toEqual([['late'], 2]);
  });

  test('the same renewal again is no news, a new one is', () => {
    const { watch, pass } = watchAt();
    expect(watch.heard('l', alive(1))).toBe(true);
    pass(900);
    expect(watch.heard('l', alive(1))).toBe(false);
    pass(100);
    expect(watch.silent).toEqual(['l']);
    expect(watch.heard('l', alive(2))).toBe(true);
    expect(watch.silent).toEqual([]);
  });

  test('where nobody could be heard the count begins anew for all', () => {
    const { watch, pass } = watchAt();
    watch.heard('l', alive(1));
    pass(999);
    watch.begin();
    pass(999);
    expect(watch.silent).toEqual([]);
    pass(1);
    expect(watch.silent).toEqual(['l']);
  });

  test('one that has ended is not silent but to be settled, for good, until it is settled or forgotten', () => {
    const { watch, pass } = watchAt();
    watch.heard('l', alive(1));
    watch.doubt('l');
    expect([watch.doubted, watch.unsettled]).toEqual([['l'], []]);
    watch.heard('l', 'ended');
    // So a process that was frozen is heard, and the stream refuses it.
    expect(watch.heard('l', alive(2))).toBe(false);
    pass(5000);
    watch.doubt('l');
    expect([watch.silent, watch.doubted, watch.unsettled, watch.hasEnded('l')]).toEqual([[], [], ['l'], true]);
    watch.settled('l');
    expect([watch.unsettled, watch.knows('l')]).toEqual([[], true]);
    watch.forget('l');
    expect(watch.knows('l')).toBe(false);
  });
});
