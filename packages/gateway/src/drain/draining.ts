/** The parts of a drain that take time: until load balancers have noticed, until every session was closed, until the last of them is gone. */
export const DRAIN_STEPS = ['notice', 'closing', 'leaving'] as const;
export type DrainStep = (typeof DRAIN_STEPS)[number];

/** What a drain does, to whatever has sessions. */
export interface Draining {
  /** Not ready any more, but still accepting. */
  announce(): void;
  /** Takes nothing new from here on. */
  refuse(): void;
  /** The sessions there are. */
  sessions(): readonly DrainingSession[];
  /** Resolves when every session's link is gone, and every request is answered. */
  gone(): Promise<void>;
  /** Cuts off every session and request that is left. */
  cutOff(): void;
  /** A step has taken so many milliseconds. */
  took(step: DrainStep, ms: number): void;
  /** Waits for what was accepted to be handed on, and lets go of everything. */
  finish(): Promise<void>;
}

export interface DrainingSession {
  readonly isOpen: boolean;
  announceDrain(afterMs: number): void;
  close(key: 'drained'): void;
}

/** How a drain goes about it. */
export interface DrainOrder {
  /** Whether load balancers are given `drain.notice`. */
  readonly notice: boolean;
  /** Whether other processes go on serving the same port: then it leaves that to them at once. */
  readonly leave?: boolean;
  /** Milliseconds from now to its end; without it `drain.deadline`. */
  readonly deadline?: number;
}

export interface DrainTimes {
  /** Milliseconds in which load balancers notice; 0: none. */
  readonly notice: number;
  /** Milliseconds from the beginning to the very end. */
  readonly deadline: number;
  /** Who else drains has a say in the pace; without it this process has a pace of its own. */
  readonly budget?: DrainBudget | undefined;
}

export interface DrainClock {
  /** Milliseconds, never going back. */
  now(): number;
  /** Resolves after so many milliseconds. */
  sleep(ms: number): Promise<void>;
}

/** What gateways that drain at the same time agree on. */
export interface DrainBudget {
  /** Takes part from now on. Does not wait for the others, who are heard a moment later. */
  begin(): void;
  /** Closes a second that are this process's just now. To be asked often: who asks no more gives its share back. */
  share(): number;
  /** Gives the share back at once. */
  end(): void;
}
