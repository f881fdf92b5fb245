/** What a stream of a history says of itself, in its description: servers before 2.10 have no other place for it. */
export interface StreamRecord {
  /** The start of the server that it was used by last; empty in a cluster. */
  readonly start: string;
  /** The epoch of what is in it: the one that it was made with, until data was lost. */
  readonly epoch: string;
  /** Its newest sequence when it was last made to keep more of each room; 0 where it never was. Up to it a room may have had more than it kept. */
  readonly grown: number;
  /** Its newest sequence when it was flushed last; 0 where it never was. JetStream goes on knowing the ids of what was kept up to it. */
  readonly flushed: number;
}

const RECORD = /^Busgate history(?:, server (\S+))?(?:, epoch ([0-9a-f]+))?(?:, grown at (\d+))?(?:, flushed at (\d+))?$/;

export function writeRecord({ start, epoch, grown, flushed }: StreamRecord, made: string): string {
  return [
    'Busgate history',
    ...(start === '' ? [] : [`server ${start}`]),
    ...(epoch === made ? [] : [`epoch ${epoch}`]),
    ...(grown === 0 ? [] : [`grown at ${grown}`]),
    ...(flushed === 0 ? [] : [`flushed at ${flushed}`]),
  ].join(', ');
}

/** `made` is the epoch that the stream was made with. */
export function readRecord(description: string | undefined, made: string): StreamRecord {
  const [, start = '', epoch = made, grown = '0', flushed = '0'] = RECORD.exec(description ?? '') ?? [];
  return { start, epoch, grown: Number(grown), flushed: Number(flushed) };
}

const FLUSHED = /^Busgate queues, flushed at (\d+)$/;

/** What the stream of the queues says of itself once it was flushed; of `sequence` as of {@link StreamRecord.flushed}. */
export function writeFlushed(sequence: number): string {
  return `Busgate queues, flushed at ${sequence}`;
}

export function readFlushed(description: string | undefined): number {
  return Number(FLUSHED.exec(description ?? '')?.[1] ?? 0);
}
