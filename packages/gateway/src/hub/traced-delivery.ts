import type { TracedStep } from '../tracing.ts';
import type { Flushed } from './flush.ts';
import type { Lane } from './lane.ts';

type Carrier = Pick<Lane, 'end' | 'isFlushed'>;

/** A message that is traced, on its way to the members of its room: has its turn behind the lanes that carry it, until all of them are past it. */
export class TracedDelivery implements Flushed {
  readonly room: string;
  isDue = false;
  readonly hasUnsent = false;
  readonly #step: TracedStep;
  readonly #lanes: readonly { readonly lane: Carrier; readonly end: number }[];

  /** The message is the last that the lanes have. */
  constructor(room: string, step: TracedStep, lanes: readonly Carrier[]) {
    this.room = room;
    this.#step = step;
    this.#lanes = lanes.map((lane) => ({ lane, end: lane.end }));
  }

  visit(): boolean {
    if (!this.#lanes.every(({ lane, end }) => lane.isFlushed(end))) return false;
    this.#step.end();
    return true;
  }
}
