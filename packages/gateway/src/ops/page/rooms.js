// Rooms by members, and one of them.
import { ask } from './api.js';
import { $, drops, element, facts, link, missing, number, table } from './dom.js';

const LIMIT = '200';

/** What has been shown so far, and where the next page begins. */
let shown = { rooms: [], cursor: undefined, match: '' };

export async function showRooms(view, go) {
  const match = $('[name=match]', view).value.trim();
  const page = await ask('GET', '/api/rooms', { query: { match, limit: LIMIT } });
  shown = { rooms: page.rooms, cursor: page.cursor, match };
  render(view, page.missing, go);
}

export async function moreRooms(view, go) {
  const page = await ask('GET', '/api/rooms', { query: { match: shown.match, limit: LIMIT, cursor: shown.cursor } });
  shown = { ...shown, rooms: [...shown.rooms, ...page.rooms], cursor: page.cursor };
  render(view, page.missing, go);
}

function render(view, gateways, go) {
  const columns = [
    ['Room', ({ room }) => link(room, () => go.room(room)), 'name'],
    ['Members', ({ members }) => number(members.fleet), 'number'],
    ['Here', ({ members }) => number(members.process), 'number'],
    ['Position', ({ position }) => position ?? '–', 'name'],
    ['Dropped', (room) => drops(room.drops)],
  ];
  const rooms = shown.rooms.toSorted((a, b) => b.members.fleet - a.members.fleet);
  $('.scroll', view).replaceChildren(table('rooms', columns, rooms));
  $('.more', view).hidden = shown.cursor === undefined;
  $('.missing', view).textContent = missing(gateways);
}

export async function showRoom(view, room, go) {
  const { members, subscribed_at: at, position, drops: dropped, gateways, missing: silent } = await ask('GET', `/api/rooms/${encodeURIComponent(room)}`);
  const columns = [
    ['Gateway', ({ gateway }) => gateway, 'name'],
    ['Members', ({ members: count }) => number(count), 'number'],
    ['Subscription proved', ({ subscribed_at: proved }) => proved ?? '–'],
  ];
  $('.detail', view).replaceChildren(
    element('h2', {}, room),
    element(
      'dl',
      { class: 'facts' },
      ...facts([
        ['Members', `${number(members.fleet)} in the fleet, ${number(members.process)} here`],
        ['Subscription proved', at ?? 'nobody listens'],
        ['Last position', position ?? 'no history'],
        ['Dropped', drops(dropped)],
      ]),
    ),
    element('div', { class: 'scroll' }, table('gateways with it', columns, gateways)),
    element('p', { class: 'missing' }, missing(silent)),
    element(
      'div',
      { class: 'row' },
      link('Its sessions', () => go.sessions(room)),
      link('Listen to it', () => go.tap(room)),
    ),
  );
}
