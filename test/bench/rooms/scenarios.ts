/** What the clients are and what is published to them. */
export interface Load {
  readonly sockets: number;
  readonly rooms: number;
  /** Over all rooms together, in turn; undefined: as many as the server takes. */
  readonly messagesPerSecond?: number;
}

export interface Scenario extends Load {
  readonly title: string;
  readonly kind: 'paced' | 'saturation' | 'idle';
}

/** By the name they have on the command line. */
export const scenarios: Readonly<Record<string, Scenario>> = {
  'room-paced': { title: 'One room of 1,000 sockets, 40 messages a second', kind: 'paced', sockets: 1000, rooms: 1, messagesPerSecond: 40 },
  'room-saturation': { title: 'One room of 1,000 sockets, saturation', kind: 'saturation', sockets: 1000, rooms: 1 },
  'pairs-paced': { title: '500 rooms of 2, 10,000 messages a second', kind: 'paced', sockets: 1000, rooms: 500, messagesPerSecond: 10_000 },
  'pairs-saturation': { title: '500 rooms of 2, saturation', kind: 'saturation', sockets: 1000, rooms: 500 },
  idle: { title: '10,000 idle sockets in 1,000 rooms', kind: 'idle', sockets: 10_000, rooms: 1000 },
};
