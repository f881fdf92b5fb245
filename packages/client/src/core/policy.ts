/** How a link ended, as far as its wire tells. Nothing at all: the network, or a handshake that a browser says nothing about. */
export interface LinkEnd {
  /** Close code of a WebSocket, or status of an HTTP answer: 0 where none came in time. */
  readonly code?: number;
  /** `error` of an HTTP answer. */
  readonly error?: string | undefined;
  /** `Retry-After` of an HTTP answer, in milliseconds. */
  readonly retryAfter?: number | undefined;
}

/** What follows: another attempt, later, unless it says otherwise. */
export interface NextAttempt {
  /** Nothing, for ever: why. */
  readonly stop?: string;
  /** This path is not to be had so: another transport. */
  readonly other?: true;
  /** With another token. */
  readonly fresh?: true;
  /** Milliseconds to wait in any case. */
  readonly least?: number | undefined;
  /** The clients of a gateway come back over this many milliseconds at least. */
  readonly spread?: number;
}

const EASY: NextAttempt = { least: 1000 };
const FRESH: NextAttempt = { fresh: true };
const NOT_ALLOWED: NextAttempt = { stop: 'not_allowed' };

/** By status or close code. */
const TABLE: Readonly<Record<number, NextAttempt>> = {
  401: FRESH,
  403: NOT_ALLOWED,
  404: { stop: 'no_route' },
  429: EASY,
  503: EASY,
  1008: { stop: 'policy' },
  1012: { least: 0, spread: 1000 },
  1013: EASY,
  4401: FRESH,
  4403: NOT_ALLOWED,
  4409: { stop: 'replaced' },
  4429: EASY,
};
/** Any other answer below it is one that this transport was not meant to get. */
const SERVER_ERROR = 500;

/** What a client does after a link has ended so, whether it stood before or not. */
export function verdictOn({ code = SERVER_ERROR, retryAfter }: LinkEnd): NextAttempt {
  const verdict = TABLE[code] ?? { ...(code < SERVER_ERROR && { other: true }) };
  return retryAfter === undefined ? verdict : { ...verdict, least: retryAfter };
}
