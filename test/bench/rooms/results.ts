import type { Result } from './measure.ts';

/** Every run, by scenario and server. */
export type Results = Readonly<Record<string, Readonly<Record<string, readonly Result[]>>>>;
