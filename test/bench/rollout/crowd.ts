import { connect, type Room } from '@busgate/client';
import { WebSocket } from 'ws';
import { Returning } from '../../outside/support/returning.ts';

/** What one message of a room holds: its number, from 1, and when it was published, by this process's clock. */
export interface Timed {
  readonly n: number;
  readonly at: number;
}

/** A client of one room with history that comes back by itself. */
export interface Guest {
  readonly room: string;
  readonly joined: boolean;
  /** The number of the last message. */
  readonly last: number;
  /** Messages missed or doubled, gaps, errors. */
  readonly faults: readonly string[];
  leave(): void;
}

type Kind = (origin: string, room: string, heard: (message: Timed) => void) => Guest;

/** How clients come back: as `@busgate/client` does, which is told before its turn and has its next connection then; or as a plain one, closed first and back within half a second. */
export const kinds: Readonly<Record<string, Kind>> = {
  client: (origin, room, heard) => new Follower(origin, room, heard),
  plain: (origin, room, heard) => new Returning(origin, room, (data) => heard(data as Timed)),
};

class Follower implements Guest {
  readonly room: string;
  readonly faults: string[] = [];
  last = 0;
  readonly #handle: Room<Timed>;
  readonly #leave: () => void;

  constructor(origin: string, room: string, heard: (message: Timed) => void) {
    this.room = room;
    const bus = connect(`http://${origin}/socket`, { WebSocket, transports: ['websocket'] });
    this.#leave = () => bus.close();
    this.#handle = bus.join<Timed>(room);
    this.#handle.on('message', ({ data }) => {
      if (data.n !== this.last + 1) this.faults.push(`${data.n} after ${this.last}`);
      this.last = data.n;
      heard(data);
    });
    this.#handle.on('gap', (gap) => this.faults.push(`gap ${JSON.stringify(gap)}`));
  }

  get joined(): boolean {
    return this.#handle.state === 'joined';
  }

  leave(): void {
    this.#leave();
  }
}
