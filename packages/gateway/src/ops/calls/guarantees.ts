import type { Capabilities, ChannelLayer, LayerStatus } from '@busgate/layer';
import type { HistorySetting } from '../../config/history.ts';
import type { RouteConfig } from '../../config/route-settings.ts';
import { layerFacts } from '../../fleet/calls.ts';
import type { ApiCall } from '../api.ts';

/** What holds, and why not more. */
interface Guarantee<T> {
  readonly holds: T;
  readonly why: string;
}

export interface Promised {
  readonly routes: readonly RouteConfig[];
  readonly history: readonly HistorySetting[];
}

/** Every room that no rule before it covers. */
const OTHERS = '>';

/** `GET /api/guarantees`: for each route and each pattern of rooms what holds just now. */
export function guaranteesCall(config: Promised, layer: Pick<ChannelLayer, 'status' | 'capabilities'>): ApiCall {
  return {
    method: 'GET',
    path: '/api/guarantees',
    async serve() {
      const { status, capabilities } = layer;
      const patterns = [...config.history.map((rule) => ({ rooms: rule.rooms, rule })), { rooms: OTHERS, rule: undefined }];
      const guarantees = config.routes.flatMap((route) =>
        patterns.map(({ rooms, rule }) => ({ route: route.path.text, kind: route.kind, rooms, ...guaranteesOf(route, rule, capabilities, status) })),
      );
      return { layer: layerFacts(status), guarantees };
    },
  };
}

function guaranteesOf(route: RouteConfig, rule: HistorySetting | undefined, capabilities: Capabilities, status: LayerStatus): object {
  return {
    delivery: deliveryOf(rule, status),
    order: orderOf(rule, capabilities, status),
    history: historyOf(rule, capabilities),
    resume: resumeOf(rule),
    loss: lossOf(route),
  };
}

function deliveryOf(rule: HistorySetting | undefined, { state, partitioned }: LayerStatus): Guarantee<boolean> {
  const repaired = rule === undefined ? 'each member is told one gap' : 'what was missed is read from the history';
  if (state !== 'connected') return { holds: false, why: `the layer is ${state}: nothing is taken, and nothing arrives; on its return ${repaired}` };
  if (partitioned === true && rule === undefined) return { holds: false, why: 'heartbeats of other gateways were missed: messages of theirs may be lost' };
  return {
    holds: true,
    why: partitioned === true ? `the broker is partitioned, but ${repaired}` : 'the layer is connected, and the heartbeats of all gateways are heard',
  };
}

function orderOf(rule: HistorySetting | undefined, { roomOrder }: Capabilities, { partitioned }: LayerStatus): Guarantee<'total' | 'publisher'> {
  if (rule !== undefined) return { holds: 'total', why: 'each message has its place in the history' };
  if (roomOrder === 'publisher')
    return { holds: 'publisher', why: 'this broker gives messages of different publishers in one order only to rooms with history' };
  return partitioned === true
    ? { holds: 'publisher', why: 'the broker is partitioned' }
    : { holds: 'total', why: 'this broker gives all subscribers one order' };
}

function historyOf(rule: HistorySetting | undefined, { history, lacks }: Capabilities): Guarantee<object | null> {
  if (rule !== undefined) return { holds: { size: rule.size, age: rule.ageMs / 1000 }, why: `the rule of the setting history for ${rule.rooms}` };
  return { holds: null, why: history ? 'no rule of the setting history covers these rooms' : (lacks?.history ?? 'this layer keeps no histories') };
}

function resumeOf(rule: HistorySetting | undefined): Guarantee<boolean> {
  if (rule === undefined) return { holds: false, why: 'without a history nothing is kept for who comes back, and a gap is told' };
  return { holds: true, why: `who comes back within ${rule.ageMs / 1000} s and ${rule.size} messages misses nothing` };
}

function lossOf(route: RouteConfig): Guarantee<string> {
  const slow = 'a reader that passes limits.outbox, or reads nothing for 10 s, is closed with 1013';
  if (route.kind !== 'room' || route.onGap === 'stay') return { holds: 'close', why: slow };
  return { holds: 'close', why: `${slow}; at a gap the session is closed with 1012` };
}
