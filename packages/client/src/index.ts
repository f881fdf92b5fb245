import { type Bus, BusHandle } from './bus.ts';
import { type ConnectOptions, settingsOf } from './options.ts';
import type { TransportName } from './transports/transport.ts';

/** Which transport worked for an address, as long as the page lives. */
const worked = new Map<string, TransportName>();

/**
 * Connects to a gateway's route of many rooms (`/socket`), and stays so: `http:`, `https:`, `ws:`, `wss:`, or a path of the page's own origin. Answers at once;
 * rooms may be joined and messages published from then on. Throws a TypeError for a URL or options that cannot be meant.
 */
export function connect(url: string | URL, options: ConnectOptions = {}): Bus {
  return new BusHandle(settingsOf(url, options), worked);
}

export type { Bus } from './bus.ts';
export type { BusState, BusStateDetail, Gap, RoomState } from './core/actions.ts';
export type { JoinOptions } from './core/rooms.ts';
export { BusError } from './errors.ts';
export type { ClientFrame, ServerFrame } from './frames.ts';
export type { Message } from './message.ts';
export type { ConnectOptions } from './options.ts';
export type { Published, PublishOptions, Room } from './room.ts';
export type { TransportName } from './transports/transport.ts';
