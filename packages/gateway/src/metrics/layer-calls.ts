/** What a gateway asks of the layer for its clients; the values of the label `call`. `history` is a reading, or a join that begins with one. */
export const LAYER_CALLS = ['publish', 'subscribe', 'history', 'send'] as const;
export type LayerCall = (typeof LAYER_CALLS)[number];

/** How long calls of the layer take, whether they succeed or not. */
export class LayerCalls {
  /** Milliseconds, never going back. */
  readonly now: () => number;
  /** Who wants to know; seconds. */
  onTaken: ((call: LayerCall, seconds: number) => void) | undefined;

  constructor(now: () => number) {
    this.now = now;
  }

  /** A call that was begun at `begun` of {@link now} has ended. */
  took(call: LayerCall, begun: number): void {
    this.onTaken?.(call, (this.now() - begun) / 1000);
  }

  /** Looks on until a call has ended, which it does no later for that. */
  watch<T>(call: LayerCall, under: Promise<T>): Promise<T> {
    const begun = this.now();
    const ended = (): void => this.took(call, begun);
    under.then(ended, ended);
    return under;
  }
}
