import type { Inbound } from '../../inbound.ts';
import type { Intake } from '../intake.ts';

/** Writes the answer to a frame. */
export type WriteAnswer = () => void;

/** What a frame asks for. */
export interface FrameStep {
  /** What it keeps, in bytes, until it has been served. */
  readonly cost: number;
  /** Whether it may begin before the answer to the one before it is there. The answers keep their order all the same. */
  readonly overlaps: boolean;
  /** Begins it. It never rejects: what goes wrong is an answer too. */
  begin(): WriteAnswer | Promise<WriteAnswer>;
}

interface Turn {
  readonly step: FrameStep;
  answer: WriteAnswer | undefined;
}

/** A session's frames are answered in the order they came in; those that may overlap are under way together. */
export class Turns {
  readonly #intake: Pick<Intake, 'refill'>;
  readonly #inbound: Pick<Inbound, 'give'>;
  #waiting: Turn[] = [];
  /** How many of them have begun: the first alone, or the first few that overlap. */
  #begun = 0;

  /** `inbound` is given back what a step keeps, once it was served or never will be; `intake` is refilled with each answer that was written. */
  constructor(intake: Pick<Intake, 'refill'>, inbound: Pick<Inbound, 'give'>) {
    this.#intake = intake;
    this.#inbound = inbound;
  }

  take(step: FrameStep): void {
    this.#waiting.push({ step, answer: undefined });
    this.#go();
  }

  /** No answer is written any more, and nothing begins. What is under way ends by itself. */
  end(): void {
    for (const { step } of this.#waiting.slice(this.#begun)) this.#inbound.give(step.cost);
    this.#waiting = [];
    this.#begun = 0;
  }

  #go(): void {
    for (;;) {
      while (this.#mayBegin()) this.#begin(this.#waiting[this.#begun] as Turn);
      const answer = this.#waiting[0]?.answer;
      if (answer === undefined) return;
      this.#waiting.shift();
      this.#begun -= 1;
      answer();
      this.#intake.refill();
    }
  }

  #mayBegin(): boolean {
    const next = this.#waiting[this.#begun];
    if (next === undefined || this.#begun === 0) return next !== undefined;
    return next.step.overlaps && this.#waiting[this.#begun - 1]?.step.overlaps === true;
  }

  #begin(waiting: Turn): void {
    this.#begun += 1;
    const answer = waiting.step.begin();
    if (typeof answer === 'function') {
      waiting.answer = answer;
      this.#inbound.give(waiting.step.cost);
      return;
    }
    void answer.then((late) => {
      this.#inbound.give(waiting.step.cost);
      waiting.answer = late;
      if (this.#waiting[0] === waiting) this.#go();
    });
  }
}
