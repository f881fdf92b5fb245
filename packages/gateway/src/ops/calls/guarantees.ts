import type { Capabilities, ChannelLayer, LayerStatus } from '@busgate/layer';
import type { HistorySetting } from '../../config/history.ts';
import { meet } from '../../config/pattern-meet.ts';
import { withoutOwner } from '../../config/room-pattern.ts';
import type { RoomRule } from '../../config/room-rules.ts';
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
  /** The rules for rooms. */
  readonly rooms: readonly RoomRule[];
}

/** Rooms for which the same holds. */
interface Covered {
  readonly rooms: string;
  readonly history: HistorySetting | undefined;
  readonly rule: RoomRule | undefined;
}

/** Every room that no rule before it covers. */
const OTHERS = '>';

/** What a reader loses that cannot keep up. */
const LOST = {
  newest: 'a reader that cannot keep up loses what comes',
  oldest: 'a reader that cannot keep up loses what has waited the longest',
  latest: 'a reader that cannot keep up loses all but the last message',
};

/** `GET /api/guarantees`: for each route and each pattern of rooms what holds just now. */
export function guaranteesCall(config: Promised, layer: Pick<ChannelLayer, 'status' | 'capabilities'>): ApiCall {
  const covered = coveredBy(config);
  return {
    method: 'GET',
    path: '/api/guarantees',
    async serve() {
      const { status, capabilities } = layer;
      const guarantees = config.routes.flatMap((route) =>
        covered.map((rooms) => ({ route: route.path.text, kind: route.kind, rooms: rooms.rooms, ...guaranteesOf(route, rooms, capabilities, status) })),
      );
      return { layer: layerFacts(status), guarantees };
    },
  };
}

/** Each history and each rule in the rooms that both are for. The first that covers a room holds for it, and none stands behind another one that covers all of its rooms. */
function coveredBy({ history, rooms }: Promised): Covered[] {
  const found: Covered[] = [];
  for (const kept of [...history, undefined]) {
    for (const rule of [...rooms, undefined]) {
      const both = meet(kept?.rooms ?? OTHERS, rule?.rooms ?? OTHERS);
      if (both !== undefined && !found.some(({ rooms: before }) => covers(before, both))) found.push({ rooms: both, history: kept, rule });
    }
  }
  return found;
}

function covers(pattern: string, other: string): boolean {
  return withoutOwner(meet(pattern, other) ?? '') === withoutOwner(other);
}

function guaranteesOf(route: RouteConfig, { history, rule }: Covered, capabilities: Capabilities, status: LayerStatus): object {
  return {
    delivery: deliveryOf(history, status),
    order: orderOf(history, capabilities, status),
    history: historyOf(history, capabilities),
    resume: resumeOf(history),
    loss: lossOf(route, rule),
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

function lossOf(route: RouteConfig, { rooms, slow = 'close', key }: Partial<RoomRule> = {}): Guarantee<string> {
  const slowly =
    slow === 'close' ? 'a reader that passes limits.outbox, or reads nothing for 10 s, is closed with 1013' : `the rule for the rooms ${rooms}: ${LOST[slow]}`;
  const why = key === undefined ? slowly : `${slowly}, of each ${key}`;
  return { holds: slow, why: route.kind === 'room' && route.onGap === 'close' ? `${why}; at a gap the session is closed with 1012` : why };
}
