import type { LinkEnd } from '../core/policy.ts';
import type { ClientFrame, ServerFrame } from '../frames.ts';
import type { TransportName } from '../transports/transport.ts';

/** From a tab to the one that leads. `tab` names one link of one tab. */
export type Upward =
  | { readonly up: 'open'; readonly tab: string; readonly transport: TransportName; readonly token: string | undefined }
  | { readonly up: 'send'; readonly tab: string; readonly frames: readonly ClientFrame[] }
  | { readonly up: 'close'; readonly tab: string };

/** From the tab that leads. */
export type Downward =
  /** To all: another tab leads from now on. */
  | { readonly down: 'lead' }
  | { readonly down: 'frame'; readonly tabs: readonly string[]; readonly frame: ServerFrame }
  | { readonly down: 'heard'; readonly tabs: readonly string[] }
  | { readonly down: 'ended'; readonly tabs: readonly string[]; readonly end: LinkEnd };
