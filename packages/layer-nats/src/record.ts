/** What a stream of a history says of itself, in its description: servers before 2.10 have no other place for it. */
export interface StreamRecord {
  /** The start of the server that it was used by last; empty in a cluster. */
  readonly start: string;
  /** The epoch of what is in it: the one that it was made with, until data was lost. */
  readonly epoch: string;
}

const RECORD = /^Busgate history(?:, server (\S+))?(?:, epoch ([0-9a-f]+))?$/;

export function writeRecord({ start, epoch }: StreamRecord, made: string): string {
  return `Busgate history${start === '' ? '' : `, server ${start}`}${epoch === made ? '' : `, epoch ${epoch}`}`;
}

/** `made` is the epoch that the stream was made with. */
export function readRecord(description: string | undefined, made: string): StreamRecord {
  const [, start = '', epoch = made] = RECORD.exec(description ?? '') ?? [];
  return { start, epoch };
}
