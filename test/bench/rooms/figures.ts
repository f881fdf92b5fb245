import { median } from '../rig/median.ts';
import type { Idle, Result, Traffic } from './measure.ts';

/** A line of a table. */
export interface Figure {
  readonly title: string;
  of(result: Result): number;
  print(value: number): string;
}

const thousands = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const precise = (value: number): string => (value >= 100 ? thousands.format(value) : value.toPrecision(3));
const whole = (value: number): string => thousands.format(value);

function traffic(title: string, key: keyof Omit<Traffic, 'kind'>, print = precise, scale = 1): Figure {
  return { title, print, of: (result) => (result.kind === 'idle' ? Number.NaN : result[key] * scale) };
}

function idle(title: string, key: keyof Omit<Idle, 'kind'>, print = precise, scale = 1): Figure {
  return { title, print, of: (result) => (result.kind === 'idle' ? result[key] * scale : Number.NaN) };
}

export const deliveries: Figure = traffic('deliveries/s', 'deliveriesPerSecond', whole);
export const cpuPerDelivery: Figure = traffic('CPU µs per delivery', 'cpuPerDelivery');
export const p99: Figure = traffic('latency p99, ms', 'p99', precise, 1e-3);
const lost: Figure = traffic('lost', 'lost', whole);
export const memory: Figure = idle('RSS per idle socket, KiB', 'residentPerSocket');
export const cpuPerConnect: Figure = idle('CPU µs per connect', 'cpuPerConnect');

const flow = [deliveries, cpuPerDelivery, traffic('latency p50, ms', 'p50', precise, 1e-3), p99, lost];
const faults = [traffic('duplicates', 'duplicates', whole), traffic('out of order', 'late', whole), traffic('clients closed', 'closed', whole)];
const shares = [
  traffic("server's share of its core, %", 'serverShare', precise, 100),
  traffic("load generator's share of its core, %", 'loadShare', precise, 100),
];

/** The lines of a scenario's table. */
export const figures: Readonly<Record<Result['kind'], readonly Figure[]>> = {
  paced: [...flow, ...faults, ...shares],
  saturation: [...flow, ...faults, ...shares],
  idle: [memory, cpuPerConnect, idle('connects/s', 'connectsPerSecond', whole), idle("load generator's share of its core, %", 'loadShare', precise, 100)],
};

/** The median of a figure over the runs. */
export function middle(figure: Figure, results: readonly Result[] | undefined): number {
  return median((results ?? []).map((result) => figure.of(result)));
}
