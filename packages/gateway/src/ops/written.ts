import { mayBeSent } from '../transports/websocket/frames.ts';

/** What a query of the ops API, or a flag, may hold: its value, and what it must be, for people. */
export interface Written {
  /** Undefined where it is none. */
  readonly read: (written: string) => number | undefined;
  readonly must: string;
}

/** Messages a second that a tap may be asked for. */
const MOST_RATE = 1000;

export const CLOSE_CODE: Written = {
  read: (written) => (/^\d{4}$/.test(written) && mayBeSent(Number(written)) ? Number(written) : undefined),
  must: 'what a close frame may carry: 1000 to 1014 without 1004 to 1006, or 3000 to 4999',
};

export const TAP_RATE: Written = {
  read: (written) => (/^\d{1,4}$/.test(written) && Number(written) >= 1 && Number(written) <= MOST_RATE ? Number(written) : undefined),
  must: `a whole number from 1 to ${MOST_RATE} a second`,
};
