import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { LayerError, type Topic } from '@busgate/layer/driver';

/** Second levels of our subjects. A prefix may not hold one: `a.room` with the room `x` would be `a` with the room `room.x`. */
const KINDS = ['room', 'group', 'process', 'control', 'queue', 'live', 'member', 'clock'];

/** NATS allows 255 characters. */
const MAX_CONSUMER_NAME = 255;

/** @throws LayerError INVALID_OPTION */
export function checkPrefix(prefix: string): void {
  const bad = prefix
    .split('.')
    .slice(1)
    .find((level) => KINDS.includes(level));
  if (bad !== undefined) throw new LayerError('INVALID_OPTION', `on NATS no later level of the prefix may be ${KINDS.join(', ')}: ${prefix} has ${bad}`);
}

/** Every subject and name that one prefix has on a NATS server. Names were checked by the layer, so that each is a subject as it stands. */
export class Subjects {
  /** First part of the names of our streams. */
  readonly streams: string;
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
    this.streams = streamPrefix(prefix);
  }

  topic({ kind, name }: Topic): string {
    return `${this.#prefix}.${kind}.${name}`;
  }

  queue(name: string): string {
    return `${this.#prefix}.queue.${name}`;
  }

  room(pattern: string): string {
    return `${this.#prefix}.room.${pattern}`;
  }

  /** Where a stream republishes the messages of a room, whatever its epoch. */
  live(room: string): string {
    return `${this.#prefix}.live.*.${room}`;
  }

  /** Where the stream of that epoch republishes everything it captures. */
  liveOf(epoch: string): string {
    return `${this.#prefix}.live.${epoch}.>`;
  }

  /** The epoch in a subject that {@link live} covers. */
  epochOf(subject: string): string {
    const from = this.#prefix.length + '.live.'.length;
    return subject.slice(from, subject.indexOf('.', from));
  }

  /** All members of a group; with `queue` the memberships of that one. */
  members(group: string, queue?: string): string {
    return `${this.#prefix}.member.${token(group)}.${queue === undefined ? '>' : `${token(queue)}.*`}`;
  }

  /** A membership that ends at that time of the broker's clock, in milliseconds. */
  member(group: string, queue: string, endsAt: number): string {
    return `${this.#prefix}.member.${token(group)}.${token(queue)}.${endsAt}`;
  }

  /** Reads what {@link member} made. */
  readMember(subject: string): { queue: string; endsAt: number } {
    const [queue = '', endsAt = ''] = subject.split('.').slice(-2);
    return { queue: Buffer.from(queue, 'base64url').toString(), endsAt: Number(endsAt) };
  }

  get clock(): string {
    return `${this.#prefix}.clock.now`;
  }

  all(kind: 'queue' | 'member' | 'clock' | 'live'): string {
    return `${this.#prefix}.${kind}.>`;
  }

  /** The durable consumer of a queue: `q_<base64url of its name>`, or where that passes what NATS allows a hash of it. */
  consumer(queue: string): string {
    const name = `q_${token(queue)}`;
    return name.length <= MAX_CONSUMER_NAME ? name : `q_${createHash('sha256').update(queue).digest('hex')}`;
  }
}

/** `busgate` is `BUSGATE`. A prefix that capitals alone would make another one's, or that no stream may be named, gets a hash besides. */
function streamPrefix(prefix: string): string {
  const capitals = prefix.toUpperCase().replaceAll('.', '_');
  if (prefix === prefix.toLowerCase() && !prefix.includes('.')) return capitals;
  return `${capitals.slice(0, 180)}-${createHash('sha256').update(prefix).digest('hex').slice(0, 12)}`;
}

function token(text: string): string {
  return Buffer.from(text).toString('base64url');
}
