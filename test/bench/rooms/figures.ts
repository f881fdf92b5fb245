import { median } from '../rig/median.ts';
import type { Idle, Result, Traffic } from './measure.ts';

/** A line of a table. */
export interface Figure {
  readonly title: string;
  of(result: Result): number;
  print(value: number): string;
}

/** The lines of a scenario's table: those in which Busgate's figure is divided by the others', and those that are only told. */
interface Figures {
  readonly compared: readonly Figure[];
  readonly told: readonly Figure[];
}

const thousands = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const whole = (value: number): string => thousands.format(value);
const precise = (value: number): string => (value >= 100 ? whole(value) : value.toPrecision(3));
const milliseconds = (microseconds: number): string => precise(microseconds / 1000);
const percent = (share: number): string => (share * 100).toFixed(0);

function traffic(title: string, key: keyof Omit<Traffic, 'kind'>, print = precise): Figure {
  return { title, print, of: (result) => (result.kind === 'idle' ? Number.NaN : result[key]) };
}

function idle(title: string, key: keyof Omit<Idle, 'kind'>, print = precise): Figure {
  return { title, print, of: (result) => (result.kind === 'idle' ? result[key] : Number.NaN) };
}

export const deliveries: Figure = traffic('deliveries/s', 'deliveriesPerSecond', whole);
export const cpuPerDelivery: Figure = traffic('CPU µs per delivery', 'cpuPerDelivery');
export const p99: Figure = traffic('latency p99, ms', 'p99', milliseconds);
export const memory: Figure = idle('RSS per idle socket, KiB', 'residentPerSocket');
export const cpuPerConnect: Figure = idle('CPU µs per connect', 'cpuPerConnect');

const p50 = traffic('latency p50, ms', 'p50', milliseconds);
const always = [
  traffic('lost', 'lost', whole),
  traffic('duplicates', 'duplicates', whole),
  traffic('out of order', 'late', whole),
  traffic('clients closed', 'closed', whole),
  traffic("server's share of its core, %", 'serverShare', percent),
  traffic("load generator's share of its core, %", 'loadShare', percent),
];

/** By kind of scenario. At saturation the latency is that of the window, and not the server's. */
export const figures: Readonly<Record<Result['kind'], Figures>> = {
  paced: { compared: [cpuPerDelivery, p50, p99], told: [deliveries, ...always] },
  saturation: { compared: [deliveries, cpuPerDelivery], told: [p50, p99, ...always] },
  idle: {
    compared: [memory, cpuPerConnect],
    told: [idle('connects/s', 'connectsPerSecond', whole), idle("load generator's share of its core, %", 'loadShare', percent)],
  },
};

/** The median of a figure over the runs. */
export function middle(figure: Figure, results: readonly Result[] | undefined): number {
  return median((results ?? []).map((result) => figure.of(result)));
}
