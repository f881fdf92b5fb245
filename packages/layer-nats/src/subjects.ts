import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { Topic } from '@busgate/layer/driver';

/** NATS allows 255 characters in the name of a consumer or stream. */
const MAX_CONSUMER_TOKEN = 253;
const MAX_STREAM_TOKEN = 120;
/** Subjects of rooms that are kept made: publishing to one again makes no string and no hash. */
const MAX_KEPT = 1000;

/** Every subject and name that one prefix has on a NATS server. Names were checked by the layer, so that each is a subject as it stands. */
export class Subjects {
  /** First part of the names of our streams. */
  readonly streams: string;
  readonly #prefix: string;
  readonly #rooms = new Map<string, string>();

  constructor(prefix: string) {
    this.#prefix = prefix;
    this.streams = streamPrefix(prefix);
  }

  topic({ kind, name }: Topic): string {
    return kind === 'room' ? this.#roomOf(name) : `${this.#prefix}.${kind}.${name}`;
  }

  queue(name: string): string {
    return `${this.#prefix}.queue.${name}`;
  }

  room(pattern: string): string {
    return `${this.#prefix}.room.${pattern}`;
  }

  /** The stream that keeps the rooms of a pattern. */
  roomStream(pattern: string): string {
    return `${this.streams}_ROOM_${bounded(pattern, MAX_STREAM_TOKEN)}`;
  }

  /** Where a stream of rooms is asked whether it is there, so that nobody in a room hears it. */
  probe(stream: string): string {
    return `${this.#prefix}.probe.${stream}`;
  }

  /** Where a stream republishes the messages of a room, whatever its epoch. */
  live(room: string): string {
    return `${this.#prefix}.live.*.${room}`;
  }

  /** What the stream that is made with that epoch does with all that it captures. */
  republish(epoch: string): { readonly src: string; readonly dest: string } {
    return { src: `${this.#prefix}.room.>`, dest: `${this.#prefix}.live.${epoch}.>` };
  }

  /** The epoch in a subject that {@link live} covers. */
  epochOf(subject: string): string {
    const from = this.#prefix.length + '.live.'.length;
    return subject.slice(from, subject.indexOf('.', from));
  }

  /** The epoch that a stream was made with. */
  madeWith({ republish }: { readonly republish?: { readonly dest: string } }): string {
    return this.epochOf(republish?.dest ?? '');
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
    return { queue: untoken(queue), endsAt: Number(endsAt) };
  }

  /** Where the stream that was made with that epoch republishes a room's messages. */
  liveIn(epoch: string, room: string): string {
    return `${this.#prefix}.live.${epoch}.${room}`;
  }

  /** Up to where a room was let go of in the stream that was made with that epoch. No room has such a name, so that nobody hears it. */
  purgedIn(epoch: string, room: string): string {
    return this.liveIn(epoch, `!purged.${room}`);
  }

  /** The record of a set that has this key. */
  record(set: string, key: string): string {
    return `${this.#prefix}.record.${token(set)}.${token(key)}`;
  }

  /** All records of a set. */
  records(set: string): string {
    return `${this.#prefix}.record.${token(set)}.*`;
  }

  /** The key that {@link record} put there. */
  keyOf(subject: string): string {
    return Buffer.from(subject.slice(subject.lastIndexOf('.') + 1), 'base64url').toString();
  }

  get clock(): string {
    return `${this.#prefix}.clock.now`;
  }

  /** Where it is decided how a stream is made. */
  decision(stream: string): string {
    return `${this.#prefix}.clock.${stream}`;
  }

  /** All that waits beside a queue that is full. */
  beside(queue: string): string {
    return `${this.#prefix}.over.${token(queue)}.*`;
  }

  /** A message that does; `name` is its own. */
  waiting(queue: string, name: string): string {
    return `${this.#prefix}.over.${token(queue)}.${name}`;
  }

  /** The queue in a subject that {@link beside} covers. */
  queueBeside(subject: string): string {
    return untoken(subject.split('.').at(-2) ?? '');
  }

  /** What a lease is; `*` stands for each. */
  lease(name: string): string {
    return `${this.#prefix}.lease.state.${name}`;
  }

  /** The lease in a subject that {@link lease} covers. */
  leaseOf(subject: string): string {
    return subject.split('.').at(-1) ?? '';
  }

  /** The records that a lease holds; with `key` that one. */
  held(lease: string, key?: string): string {
    return `${this.#prefix}.lease.record.${lease}.${key === undefined ? '*' : token(key)}`;
  }

  all(kind: 'queue' | 'over' | 'member' | 'lease' | 'clock' | 'live' | 'record'): string {
    return `${this.#prefix}.${kind}.>`;
  }

  get everything(): string {
    return `${this.#prefix}.>`;
  }

  /** The durable consumer of a queue: `q_<base64url of its name>`, or where that passes what NATS allows a hash of it. */
  consumer(queue: string): string {
    return `q_${bounded(queue, MAX_CONSUMER_TOKEN)}`;
  }

  #roomOf(name: string): string {
    const known = this.#rooms.get(name);
    if (known !== undefined) return known;
    if (this.#rooms.size === MAX_KEPT) this.#rooms.clear();
    const subject = this.room(name);
    this.#rooms.set(name, subject);
    return subject;
  }
}

/** `busgate` is `BUSGATE`. A prefix with capitals of its own gets a hash besides, since it is another one than that without. */
function streamPrefix(prefix: string): string {
  const capitals = prefix.toUpperCase();
  return prefix === prefix.toLowerCase() ? capitals : `${capitals}-${createHash('sha256').update(prefix).digest('hex').slice(0, 12)}`;
}

function bounded(text: string, most: number): string {
  const encoded = token(text);
  return encoded.length <= most ? encoded : createHash('sha256').update(text).digest('hex');
}

function token(text: string): string {
  return Buffer.from(text).toString('base64url');
}

function untoken(encoded: string): string {
  return Buffer.from(encoded, 'base64url').toString();
}
