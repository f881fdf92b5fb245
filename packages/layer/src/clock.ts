/** Time, so that tests need not wait for it. */
export interface Clock {
  /** Milliseconds that never go back. */
  now(): number;
  /** Calls `step` once after `ms`, unless the function it returns is called before. Does not keep the process alive. */
  after(ms: number, step: () => void): () => void;
}

export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  after: (ms, step) => {
    const timer = setTimeout(step, ms).unref();
    return () => clearTimeout(timer);
  },
};
