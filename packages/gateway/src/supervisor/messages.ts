import type { DrainOrder } from '../drain/draining.ts';
import type { Readiness } from '../health.ts';
import type { MetricReport } from '../metrics.ts';
import type { CallOrder, CallWord } from './calls.ts';
import type { ReadSettings } from './settings.ts';

/** How the public port reaches the workers of one supervisor. */
export type Sharing = 'shared' | 'handed';

/** What a worker is to be. */
export interface Assignment {
  /** Which of the workers it is, from 1. */
  readonly slot: number;
  readonly settings: ReadSettings;
  /** The port that was found, where the settings say 0. */
  readonly port: number;
  readonly sharing: Sharing;
}

/** What a worker can be asked. */
export interface WorkerAnswers {
  readonly metrics: readonly MetricReport[];
  readonly readiness: Readiness;
}

export type WorkerQuestion = keyof WorkerAnswers;

/** What the supervisor says to a worker. A `connection` comes with its socket. */
export type WorkerOrder =
  | { readonly type: 'start'; readonly assignment: Assignment }
  | { readonly type: 'ask'; readonly id: number; readonly question: WorkerQuestion }
  | ({ readonly type: 'drain' } & DrainOrder)
  | { readonly type: 'connection' }
  | CallOrder;

/** What a worker says to the supervisor. */
export type Word =
  | { readonly type: 'serving' }
  /** It cannot start. `isUsage`: for something that was written wrongly. */
  | { readonly type: 'failed'; readonly reason: string; readonly isUsage: boolean }
  | CallWord
  | { readonly type: 'answer'; readonly id: number; readonly answer: WorkerAnswers[WorkerQuestion] }
  /** Its last numbers: it ends now. */
  | { readonly type: 'last'; readonly metrics: readonly MetricReport[] };
