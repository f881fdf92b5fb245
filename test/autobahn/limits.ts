import type { ReceiveLimits } from '../../packages/gateway/src/transports/websocket/receiver.ts';

const KIB = 1024;

/** For messages of 16 MiB, and of 4 MiB in fragments of 64 bytes and an empty one at the end: the largest that Autobahn sends. */
export const ROOMY: ReceiveLimits = { message: 16 * KIB * KIB, fragments: 65_537 };

/** What a gateway has where nobody sets it. */
export const ORDINARY: ReceiveLimits = { message: 64 * KIB, fragments: KIB };
