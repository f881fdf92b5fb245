import { isDeepStrictEqual } from 'node:util';
import { isName, parsePosition } from '@busgate/layer';
import { formatCursor, parseCursor } from '../../src/hub/cursor.ts';
import { type FuzzedParser, must } from './parser.ts';

/** Where a client of a stream says that it stands. */
export const CURSORS: FuzzedParser = {
  name: 'cursors',
  examples: [
    formatCursor(new Map()),
    formatCursor(new Map([['a', 'epoch:1']])),
    formatCursor(
      new Map([
        ['a.b', 'e_1:0'],
        ['__proto__', 'e_1:9007199254740991'],
        ['c', 'other-epoch:77'],
      ]),
    ),
    '2-YTphLGIsMTsh',
    '0-IQ',
    'epoch:12',
    cursorOf('e,r,1;!'),
    cursorOf('e,r,1,s;!'),
    cursorOf('e,r,01;f;;!'),
  ],
  words: ['1-', '2-', '-', 'IQ', '!', ';', ',', ':', '=', 'e,r,1;!', '9007199254740993', 'epoch:1'],
  feed(input) {
    // As it came, and as the text that a cursor holds.
    feedCursor(input);
    feedCursor(cursorOf(input));
  },
};

function feedCursor(input: string): void {
  parsePosition(input);
  const positions = parseCursor(input);
  if (positions === undefined || positions === 'newer') return;
  for (const [room, position] of positions) must(isName(room) && parsePosition(position) !== undefined, 'each room has a name and a position');
  must(isDeepStrictEqual(parseCursor(formatCursor(positions)), positions), 'what is written of it is read as the same');
}

function cursorOf(text: string): string {
  return `1-${Buffer.from(text).toString('base64url')}`;
}
