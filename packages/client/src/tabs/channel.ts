import type { Downward, Upward } from './messages.ts';

/** As much of a BroadcastChannel as is needed. */
interface Broadcast {
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
}

/** What all tabs of the origin say to each other, but for the one who says it. */
export class Channel {
  readonly #broadcast: Broadcast;

  constructor(name: string, read: (message: Upward | Downward) => void) {
    this.#broadcast = new BroadcastChannel(name) as unknown as Broadcast;
    this.#broadcast.onmessage = ({ data }) => read(data as Upward | Downward);
  }

  post(message: Upward | Downward): void {
    this.#broadcast.postMessage(message);
  }

  close(): void {
    this.#broadcast.close();
  }
}
