import { isName, LayerError, NAME_RULE, type Value } from '@busgate/layer';
import { isFieldValue, isOwnHeader, isToken, MAX_STATE } from './reply-rules.ts';
import type { Header } from './wire.ts';

// A gateway drops what is wrong in a reply, and can tell its own log alone: who replies is told here.

/** @throws TypeError */
export function checkStatus(status: number): void {
  if (!Number.isInteger(status) || status < 300 || status > 599) throw new TypeError(`a refusal's status must be 300 to 599, not ${status}`);
}

/** @throws TypeError */
export function checkHeaders(headers: readonly Header[]): void {
  for (const [name, value] of headers) {
    if (!isToken(name)) throw new TypeError(`${JSON.stringify(name)} is no name of a header`);
    if (isOwnHeader(name.toLowerCase())) throw new TypeError(`the header ${name} is the gateway's to write`);
    if (!isFieldValue(value)) throw new TypeError(`the value of the header ${name} must be Latin-1 without line breaks and other control characters`);
  }
}

/** @throws TypeError where it is no JSON value; RangeError where it is too large */
export function checkState(state: Value): void {
  const json = JSON.stringify(state) as string | undefined;
  if (json === undefined) throw new TypeError('a state must be a JSON value');
  const bytes = new TextEncoder().encode(json).length;
  if (bytes > MAX_STATE) throw new RangeError(`a state must be at most ${MAX_STATE} bytes of JSON, not ${bytes}`);
}

/** @throws LayerError INVALID_NAME */
export function checkRoom(room: string): void {
  checkName('room', room);
  if (room.startsWith('_')) throw new LayerError('INVALID_NAME', `room name ${room} is not allowed: those that begin with _ are Busgate's own`);
}

/** @throws LayerError INVALID_NAME */
export function checkGroup(group: string): void {
  checkName('group', group);
}

function checkName(kind: string, name: string): void {
  if (!isName(name)) throw new LayerError('INVALID_NAME', `${kind} name ${JSON.stringify(name)} is not allowed: ${NAME_RULE}`);
}
