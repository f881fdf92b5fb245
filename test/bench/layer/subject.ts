import type { Begin } from '../rig/work.ts';

/** An implementation under measurement; each call is one process. */
export interface Subject {
  /** Sends and receives that many messages through one queue, 64 on their way at any time. */
  queue(url: string, readers: number, total: number, begin: Begin): Promise<number>;
  /** Has that many members of a group, and receives so many messages with each. */
  members(url: string, members: number, messages: number, begin: Begin): Promise<number>;
  /** Sends that many messages to the group, one after the other. */
  groupSend(url: string, messages: number, begin: Begin): Promise<number>;
  /** Subscribes that many rooms and lets go of them. */
  rooms(url: string, rooms: number, begin: Begin): Promise<number>;
}

/** What a process of that scenario does, with its numbers. */
export function play(subject: Subject, scenario: string, url: string, [first = 0, second = 0]: readonly number[]): (begin: Begin) => Promise<number> {
  const scenarios: Readonly<Record<string, (begin: Begin) => Promise<number>>> = {
    queue: (begin) => subject.queue(url, first, second, begin),
    members: (begin) => subject.members(url, first, second, begin),
    groupSend: (begin) => subject.groupSend(url, first, begin),
    rooms: (begin) => subject.rooms(url, first, begin),
  };
  const run = scenarios[scenario];
  if (run === undefined) throw new Error(`no scenario is called ${scenario}; there are ${Object.keys(scenarios).join(', ')}`);
  return run;
}
