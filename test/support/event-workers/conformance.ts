import { afterAll, beforeAll, describe } from 'vitest';
import type { Broker } from '../brokers.ts';
import type { Family } from './family.ts';
import { ends } from './families/ends.ts';
import { fences } from './families/fences.ts';
import { frozen } from './families/frozen.ts';
import { order } from './families/order.ts';
import { replies } from './families/replies.ts';
import { stops } from './families/stops.ts';
import { Stage } from './stage.ts';
import type { Subject } from './subject.ts';

type Families = Readonly<Record<string, Family>>;

export const FAMILIES = { order, fences, ends, replies, stops, frozen };

/** What every worker of event routes keeps to, in whatever language: the same list for each, or some families of it, on a broker that is started here. */
export function describeWorker(subject: Subject, startBroker: () => Promise<Broker>, families: Families = FAMILIES): void {
  describe(`a worker of event routes: ${subject.name}`, () => {
    let broker: Broker;
    beforeAll(async () => {
      broker = await startBroker();
    });
    afterAll(() => broker?.[Symbol.asyncDispose]());

    for (const [name, family] of Object.entries(families)) {
      describe.concurrent(name, () => {
        let shared: Stage;
        beforeAll(async () => {
          shared = await Stage.open(subject, broker.url, 1);
        });
        afterAll(() => shared?.[Symbol.asyncDispose]());
        family({ subject, stage: () => shared, open: (workers) => Stage.open(subject, broker.url, workers) });
      });
    }
  });
}
