import { Buffer } from 'node:buffer';
import { formatPosition, isName, parsePosition } from '@busgate/layer';

/** Where a client stands, by room. */
type Positions = ReadonlyMap<string, string>;

const VERSION = 1;
const CURSOR = /^(\d{1,6})-([A-Za-z0-9_-]*)$/;
/** Stands last, so that a cursor that was cut is known as such. */
const END = '!';

/** The positions of a client's rooms as one word that a URL holds as it stands. It gives no rights, so it is not signed. Rooms of one epoch share its name. */
export function formatCursor(positions: Positions): string {
  const epochs = new Map<string, string[]>();
  for (const [room, text] of positions) {
    const position = parsePosition(text);
    if (position === undefined) continue;
    const places = epochs.get(position.epoch) ?? [position.epoch];
    places.push(room, String(position.offset));
    epochs.set(position.epoch, places);
  }
  const text = [...epochs.values()].map((places) => `${places.join(',')};`).join('');
  return `${VERSION}-${Buffer.from(text + END).toString('base64url')}`;
}

/** Reads what {@link formatCursor} wrote. Undefined for what no gateway writes; `newer` for what only a later version can read. */
export function parseCursor(cursor: string): Positions | 'newer' | undefined {
  const [, version, encoded = ''] = CURSOR.exec(cursor) ?? [];
  if (version === undefined) return undefined;
  if (Number(version) > VERSION) return 'newer';
  const text = Buffer.from(encoded, 'base64url').toString('latin1');
  if (Number(version) < VERSION || !text.endsWith(END)) return undefined;
  const groups = text.slice(0, -END.length).split(';');
  return groups.pop() === '' ? positionsOf(groups) : undefined;
}

function positionsOf(groups: readonly string[]): Positions | undefined {
  const positions = new Map<string, string>();
  for (const group of groups) {
    const [epoch = '', ...places] = group.split(',');
    if (places.length === 0 || places.length % 2 !== 0) return undefined;
    for (let index = 0; index < places.length; index += 2) {
      const [room = '', offset] = places.slice(index, index + 2);
      const position = parsePosition(`${epoch}:${offset}`);
      if (position === undefined || !isName(room)) return undefined;
      positions.set(room, formatPosition(position));
    }
  }
  return positions;
}
