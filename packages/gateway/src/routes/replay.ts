import type { PositionedMessage } from '@busgate/layer';
import type { Hub } from '../hub.ts';

/** Payload bytes of a history that are on their way to one reader at once, unless one message has more. */
const PIECE_BYTES = 256 * 1024;

/** Who missed messages. */
export interface ReplayReader {
  isOpen(): boolean;
  send(messages: readonly PositionedMessage[]): void;
  /** Resolves once what was sent has left; false where the reader has. */
  drained(): Promise<boolean>;
}

/**
 * Brings a reader from `since` nearly to where the room stands, a piece at a time, each once the one before has left: so what it missed waits in the history and
 * not in this process. Answers where the rest follows: no more than a piece, or what the history has no longer.
 * @throws LayerError as the history does; what was sent was sent
 */
export async function replayPieces(hub: Hub, room: string, since: string, reader: ReplayReader): Promise<string> {
  let from = since;
  for (;;) {
    const { messages, position, recovered, more } = await hub.history(room, from, { bytes: PIECE_BYTES });
    await hub.turn();
    if (!more || recovered === false || !reader.isOpen()) return from;
    reader.send(messages);
    from = position;
    if (!(await reader.drained())) return from;
  }
}
