import { type Bus, BusHandle } from '../bus.ts';
import { type ConnectOptions, settingsOf, targetOf } from '../options.ts';
import { watchPage } from '../page.ts';
import { OPENERS } from '../transports/openers.ts';
import type { Openers, TransportName } from '../transports/transport.ts';
import { Leader } from './leader.ts';
import { TabLink } from './tab-link.ts';

/** As much of Web Locks as is needed; pages without TLS have none. */
interface Locks {
  request(name: string, options: { readonly signal: AbortSignal }, whileHeld: () => Promise<void>): Promise<void>;
}

/** Which transport worked for an address, as long as the page lives. */
const worked = new Map<string, TransportName>();

/**
 * As `connect` of `@busgate/client`, but all tabs of the origin that connect so to this URL share one connection: one of them holds it, found by a Web Lock, and
 * another one does when that is gone. Browsers allow six connections to a host over HTTP/1.1, which event streams would use up. Where a page has no Web Locks
 * (without TLS) each tab has a connection of its own.
 */
export function connect(url: string | URL, options: ConnectOptions = {}): Bus {
  const settings = settingsOf(url, options);
  const { locks } = (globalThis as { navigator?: { locks?: Locks } }).navigator ?? {};
  if (locks === undefined) return new BusHandle(settings, worked);
  const name = `busgate:${settings.url.href}`;
  const share = (transport: TransportName): Openers[TransportName] => {
    return () => (target, events) => new TabLink(name, transport, target.token, events);
  };
  const bus = new BusHandle(settings, worked, { websocket: share('websocket'), sse: share('sse'), poll: share('poll') });

  let candidacy: AbortController | undefined;
  const stand = (): void => {
    if (candidacy !== undefined || bus.state === 'closed') return;
    candidacy = new AbortController();
    lead(locks, name, candidacy.signal, () => new Leader(name, OPENERS, targetOf(settings)));
  };
  const withdraw = (): void => {
    candidacy?.abort();
    candidacy = undefined;
  };
  const over = new AbortController();
  watchPage(stand, withdraw, over.signal);
  bus.on('state', (state) => {
    if (state !== 'closed') return;
    over.abort();
    withdraw();
  });
  stand();
  return bus;
}

/** Leads as soon as nobody else does, until the signal. */
function lead(locks: Locks, name: string, signal: AbortSignal, begin: () => Leader): void {
  const whileHeld = (): Promise<void> => {
    const leader = begin();
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        leader.close();
        resolve();
      });
    });
  };
  // It is rejected where the candidate withdraws before its turn.
  locks.request(name, { signal }, whileHeld).catch(() => undefined);
}

export type { Bus } from '../bus.ts';
export type { BusState, BusStateDetail, Gap, RoomState } from '../core/actions.ts';
export type { JoinOptions } from '../core/rooms.ts';
export { BusError } from '../errors.ts';
export type { Message } from '../message.ts';
export type { ConnectOptions } from '../options.ts';
export type { Published, PublishOptions, Room } from '../room.ts';
