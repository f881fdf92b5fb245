import { expect, test } from 'vitest';
import { Reconnecting, type Absence } from '../src/driver/reconnecting.ts';
import { withResolvers, type Resolvers } from '../src/driver/resolvers.ts';
import { LayerError } from '../src/errors.ts';
import type { LayerFault } from '../src/faults.ts';

const BROKEN: Absence = { reason: 'it broke', fault: undefined };

/** What is reached by hand: each attempt waits for what the test makes of it. */
class ByHand {
  readonly told: string[] = [];
  readonly reconnecting: Reconnecting;
  #attempt = withResolvers<{ reached: () => void; outcome: Resolvers<Absence> }>();

  constructor() {
    this.reconnecting = new Reconnecting({
      hold: (reached, signal) => {
        const outcome = withResolvers<Absence>();
        signal.addEventListener('abort', () => outcome.resolve({ reason: 'closed', fault: undefined }));
        this.#attempt.resolve({ reached, outcome });
        this.#attempt = withResolvers();
        return outcome.promise;
      },
      absenceOf: (error) => ({ reason: (error as Error).message, fault: 'unreachable' }),
      connected: () => void this.told.push('connected'),
      away: (reason) => void this.told.push(`away: ${reason}`),
      fault: (kind: LayerFault, reason) => void this.told.push(`${kind}: ${reason}`),
    });
  }

  /** The next attempt, once it is made. */
  next(): Promise<{ reached: () => void; outcome: Resolvers<Absence> }> {
    return this.#attempt.promise;
  }
}

const refusal = (): LayerError => new LayerError('REFUSED', 'wrong password');

test('opening ends with the first attempt, and the second one is made without being asked for', async () => {
  const broker = new ByHand();
  const first = broker.next();
  const opened = broker.reconnecting.open();
  const second = broker.next();
  (await first).outcome.reject(new Error('nobody there'));
  await opened;
  expect([broker.reconnecting.isConnected, broker.reconnecting.reason]).toEqual([false, 'nobody there']);
  (await second).reached();
  expect([broker.reconnecting.isConnected, broker.reconnecting.reason]).toEqual([true, undefined]);
  expect(broker.told).toEqual(['away: nobody there', 'unreachable: nobody there', 'connected']);
  await broker.reconnecting.close();
});

test('refused at first nothing more is tried; refused later it is', async () => {
  const wrong = new ByHand();
  const only = wrong.next();
  const opened = wrong.reconnecting.open();
  (await only).outcome.reject(refusal());
  await expect(opened).rejects.toThrow('wrong password');
  expect(wrong.reconnecting.signal.aborted).toBe(true);
  expect(wrong.told).toEqual([]);

  const broker = new ByHand();
  const first = broker.next();
  const later = broker.reconnecting.open();
  const { reached, outcome } = await first;
  const second = broker.next();
  reached();
  await later;
  outcome.reject(refusal());
  const third = second.then((attempt) => {
    const next = broker.next();
    attempt.outcome.reject(refusal());
    return next;
  });
  (await third).reached();
  expect(broker.told).toEqual(['connected', 'away: wrong password', 'unreachable: wrong password', 'unreachable: wrong password', 'connected']);
  await broker.reconnecting.close();
});

test('what a broken connection was is told by whom is met in its place', async () => {
  const broker = new ByHand();
  const first = broker.next();
  const opened = broker.reconnecting.open();
  const { reached, outcome } = await first;
  const second = broker.next();
  broker.reconnecting.found({ address: 'h:1', id: 'a' });
  reached();
  await opened;
  outcome.resolve(BROKEN);
  const again = await second;
  broker.reconnecting.found({ address: 'h:1', id: 'a' });
  again.reached();
  expect(broker.told).toEqual(['connected', 'away: it broke', 'cut_off: it broke', 'connected']);
  await broker.reconnecting.close();
});

test('once closed nothing is told, and closing waits for what there is', async () => {
  const broker = new ByHand();
  const first = broker.next();
  const opened = broker.reconnecting.open();
  (await first).reached();
  await opened;
  await broker.reconnecting.close();
  expect(broker.told).toEqual(['connected']);
});

test('closed before the first attempt is over, opening ends', async () => {
  const broker = new ByHand();
  const first = broker.next();
  const opened = broker.reconnecting.open();
  await first;
  await broker.reconnecting.close();
  await opened;
  expect(broker.told).toEqual([]);
});
