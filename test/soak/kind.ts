import type { LayerName, SoakStage } from './stage.ts';

/** A piece of work that is done again and again. */
export interface Kind {
  readonly name: string;
  /** Those that it is another thing on; all where it says nothing. */
  readonly layers?: readonly LayerName[];
  /** Beside others once in so many rounds, for what takes long; in each where it says nothing. */
  readonly every?: number;
  /** Does it once and ends all that it began; `n` is another one each time. */
  readonly round: (stage: SoakStage, n: number) => Promise<void>;
}
