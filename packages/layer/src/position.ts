/** A place in a room's history. Offsets grow within an epoch; a broker that lost data begins a new epoch. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

const POSITION = /^([A-Za-z0-9_-]{1,64}):(0|[1-9]\d{0,15})$/;

/** `<epoch>:<offset>`, opaque to clients. */
export function formatPosition(position: Position): string {
  return `${position.epoch}:${position.offset}`;
}

/** Reads what {@link formatPosition} wrote; undefined for anything else. */
export function parsePosition(text: unknown): Position | undefined {
  const match = typeof text === 'string' ? POSITION.exec(text) : null;
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  const offset = Number(match[2]);
  return Number.isSafeInteger(offset) ? { epoch: match[1], offset } : undefined;
}
