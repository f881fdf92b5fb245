import type { Child } from '../child.ts';

/**
 * A worker that runs the scripted application: what a client says is what is to be done (`script/` has the words), and what it is given it prints as a line of JSON.
 */
export interface Subject {
  readonly name: string;
  /** Whether the end of a session whose handler died with its worker is told to a new handler: one that is a function has nothing to be told. */
  readonly takesLeave: boolean;
  /** Starts one that reads this queue of that layer; resolves when it reads. */
  start(layer: string, queue: string): Promise<Child>;
}

/** What the scripted application prints. */
export interface Saw {
  readonly session: string;
  readonly saw: 'connect' | 'receive' | 'disconnect';
  readonly resumed?: boolean;
  readonly undone?: number;
  readonly state?: unknown;
  readonly text?: string;
  readonly code?: number;
  readonly reason?: string;
}
