import type { Stage } from './stage.ts';
import type { Subject } from './subject.ts';

interface Given {
  readonly subject: Subject;
  /** A gateway and one worker that the tests of a family share. */
  readonly stage: () => Stage;
  /** A gateway and workers for one test alone. */
  readonly open: (workers: number) => Promise<Stage>;
}

/** Tests of one kind of promise. */
export type Family = (given: Given) => void;
