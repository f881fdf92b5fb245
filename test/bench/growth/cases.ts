/** What the load does, and to how much of everything. Within a dimension all cases have the same number of deliveries, and each delivery is a write of its own. */
export interface Case {
  readonly gateways: number;
  /** Of all gateways together, which they are spread over in turn. */
  readonly sockets: number;
  readonly rooms: number;
  /** Sockets in each room; the rooms are spread over the sockets in turn. */
  readonly members: number;
  /** Messages that are published together, each to another room. The next ones follow when all of these have arrived. */
  readonly atOnce: number;
}

/** One thing that grows, from its smallest case on. */
export interface Dimension {
  readonly title: string;
  readonly cases: Readonly<Record<string, Case>>;
}

const ROOMS: Case = { gateways: 1, sockets: 100, rooms: 1, members: 1, atOnce: 1 };
const SOCKETS: Case = { gateways: 1, sockets: 1000, rooms: 10, members: 100, atOnce: 1 };
const GATEWAYS: Case = { gateways: 1, sockets: 1000, rooms: 1, members: 1000, atOnce: 1 };
const ROOMS_A_SESSION: Case = { gateways: 1, sockets: 100, rooms: 1, members: 100, atOnce: 1 };

export const dimensions: Readonly<Record<string, Dimension>> = {
  rooms: {
    title: 'Rooms of one of 100 sockets, messages to each in turn, one after the other',
    cases: grow([1, 10, 100, 1000, 10_000, 100_000], (rooms) => ({ ...ROOMS, rooms })),
  },
  'rooms-at-once': {
    title: 'The same rooms, a message to each of 100 of them at once',
    cases: grow([100, 1000, 10_000, 100_000], (rooms) => ({ ...ROOMS, rooms, atOnce: 100 })),
  },
  sockets: {
    title: 'Sockets of a process, in rooms of 100',
    cases: grow([1000, 5000, 15_000], (sockets) => ({ ...SOCKETS, sockets, rooms: sockets / SOCKETS.members })),
  },
  gateways: {
    title: 'Gateways on one Redis, over which one room of 1,000 sockets is spread',
    cases: grow([1, 2, 4, 8], (gateways) => ({ ...GATEWAYS, gateways })),
  },
  'rooms-a-session': {
    title: 'Rooms of each session: 100 sockets, all of them in all rooms',
    cases: grow([1, 10, 100, 1000], (rooms) => ({ ...ROOMS_A_SESSION, rooms })),
  },
};

function grow(sizes: readonly number[], of: (size: number) => Case): Readonly<Record<string, Case>> {
  return Object.fromEntries(sizes.map((size) => [size.toLocaleString('en'), of(size)]));
}
