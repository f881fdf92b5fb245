/**
 * Why something could not be done; the code is API, the message is for people. Codes of a gateway's error frames and HTTP answers come as they are
 * (`not_allowed`, `no_history`, `too_large`, `rate`, `away`, `unknown`, …). The client's own:
 *
 * - `away`: nothing was done; it could not be sent within ten seconds, or the gateway's broker is away
 * - `unknown`: it was sent, and no answer came: it may or may not have been published
 * - `full`: more is waiting to be sent than `buffer` allows
 * - `slow`: a loop over a room fell 10,000 messages behind
 * - `closed`: the bus was closed, or the room left
 * - `no_route`, `not_allowed`, `policy`, `replaced`, `expired`: the bus has stopped for ever: no such path, no right to it, closed with 1008, another
 *   session of this user took its place, a token that cannot be renewed
 */
export class BusError extends Error {
  override readonly name = 'BusError';
  readonly code: string;

  constructor(code: string, message = code) {
    super(message);
    this.code = code;
  }
}
