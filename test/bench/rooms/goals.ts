import { cpuPerConnect, cpuPerDelivery, deliveries, type Figure, memory, middle, p99 } from './figures.ts';
import type { Results } from './results.ts';

/** What Busgate's figure has to be in terms of another server's, in the same run of the bench. */
interface Goal {
  readonly title: string;
  /** Whose figure it is, where it is not that of Busgate as it is by default. */
  readonly server?: string;
  readonly scenario: string;
  readonly figure: Figure;
  readonly against: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface Verdict {
  readonly title: string;
  readonly ratio: number;
  readonly wanted: string;
  readonly met: boolean;
}

const goals: readonly Goal[] = [
  { title: "one room at saturation: deliveries/s, of the naive server's", scenario: 'room-saturation', figure: deliveries, against: 'naive', atLeast: 80 },
  { title: "rooms of two at saturation: deliveries/s, of the naive server's", scenario: 'pairs-saturation', figure: deliveries, against: 'naive', atLeast: 5 },
  { title: "one room, paced: CPU per delivery, of the floor's", scenario: 'room-paced', figure: cpuPerDelivery, against: 'floor', atMost: 1.2 },
  { title: "one room, paced: p99, of the naive server's", scenario: 'room-paced', figure: p99, against: 'naive', atMost: 1 },
  {
    title: 'one room, paced: CPU per delivery with every limit set and none reached, of that without',
    scenario: 'room-paced',
    figure: cpuPerDelivery,
    server: 'busgate-limits',
    against: 'busgate',
    atMost: 1.02,
  },
  {
    title: 'rooms of two at saturation: deliveries/s of JSON on `/socket`, of those on a path a room',
    scenario: 'pairs-saturation',
    figure: deliveries,
    server: 'busgate-socket',
    against: 'busgate',
    atLeast: 0.7,
  },
  {
    title: 'one room, paced: CPU per delivery with a history, of that without',
    scenario: 'room-paced',
    figure: cpuPerDelivery,
    server: 'busgate-history',
    against: 'busgate',
    atMost: 1.25,
  },
  { title: "rooms of two, paced: p99, of the naive server's", scenario: 'pairs-paced', figure: p99, against: 'naive', atMost: 1 },
  { title: "memory per idle socket, of the naive server's", scenario: 'idle', figure: memory, against: 'naive', atMost: 1.1 },
  { title: "CPU per connect, of the naive server's", scenario: 'idle', figure: cpuPerConnect, against: 'naive', atMost: 1.3 },
];

/** A verdict on each goal whose two sides were measured. */
export function judge(results: Results): Verdict[] {
  return goals.flatMap(({ title, scenario, figure, server = 'busgate', against, atLeast = 0, atMost = Infinity }) => {
    const ratio = middle(figure, results[scenario]?.[server]) / middle(figure, results[scenario]?.[against]);
    if (Number.isNaN(ratio)) return [];
    const wanted = atLeast > 0 ? `at least ${atLeast}` : `at most ${atMost}`;
    return [{ title, ratio, wanted, met: ratio >= atLeast && ratio <= atMost }];
  });
}
