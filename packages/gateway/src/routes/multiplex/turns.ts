/** Writes the answer to a frame. */
export type Answer = () => void;

/** What a frame asks for. */
export interface Step {
  /** What it keeps, in bytes, until it has been served. */
  readonly cost: number;
  /** Whether it may begin before the answer to the one before it is there. The answers keep their order all the same. */
  readonly overlaps: boolean;
  /** Begins it. It never rejects: what goes wrong is an answer too. */
  begin(): Answer | Promise<Answer>;
}

interface Waiting {
  readonly step: Step;
  answer: Answer | undefined;
}

/** Told what becomes of the steps. */
interface TurnsWatch {
  /** Once for each: it was served, or never will be. */
  served(step: Step): void;
  /** Its answer has been written. */
  answered(): void;
}

/** A session's frames are answered in the order they came in; those that may overlap are under way together. */
export class Turns {
  readonly #watch: TurnsWatch;
  #waiting: Waiting[] = [];
  /** How many of them have begun: the first alone, or the first few that overlap. */
  #begun = 0;

  constructor(watch: TurnsWatch) {
    this.#watch = watch;
  }

  take(step: Step): void {
    this.#waiting.push({ step, answer: undefined });
    this.#go();
  }

  /** No answer is written any more, and nothing begins. What is under way ends by itself. */
  end(): void {
    for (const { step } of this.#waiting.slice(this.#begun)) this.#watch.served(step);
    this.#waiting = [];
    this.#begun = 0;
  }

  #go(): void {
    for (;;) {
      while (this.#mayBegin()) this.#begin(this.#waiting[this.#begun] as Waiting);
      const answer = this.#waiting[0]?.answer;
      if (answer === undefined) return;
      this.#waiting.shift();
      this.#begun -= 1;
      answer();
      this.#watch.answered();
    }
  }

  #mayBegin(): boolean {
    const next = this.#waiting[this.#begun];
    if (next === undefined || this.#begun === 0) return next !== undefined;
    return next.step.overlaps && this.#waiting[this.#begun - 1]?.step.overlaps === true;
  }

  #begin(waiting: Waiting): void {
    this.#begun += 1;
    const answer = waiting.step.begin();
    if (typeof answer === 'function') {
      waiting.answer = answer;
      this.#watch.served(waiting.step);
      return;
    }
    void answer.then((late) => {
      this.#watch.served(waiting.step);
      waiting.answer = late;
      if (this.#waiting[0] === waiting) this.#go();
    });
  }
}
