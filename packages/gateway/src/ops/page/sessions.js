// Sessions of the fleet, and one of them.
import { ask } from './api.js';
import { $, bytes, element, facts, link, missing, seconds, table } from './dom.js';

const LIMIT = '100';
const FILTERS = ['room', 'user', 'address'];

let shown = { sessions: [], cursor: undefined, query: {} };

export async function showSessions(view, go) {
  const query = Object.fromEntries(FILTERS.map((name) => [name, $(`[name=${name}]`, view).value.trim()]));
  const page = await ask('GET', '/api/sessions', { query: { ...query, limit: LIMIT } });
  shown = { sessions: page.sessions, cursor: page.cursor, query };
  render(view, page.missing, go);
}

export async function moreSessions(view, go) {
  const page = await ask('GET', '/api/sessions', { query: { ...shown.query, limit: LIMIT, cursor: shown.cursor } });
  shown = { ...shown, sessions: [...shown.sessions, ...page.sessions], cursor: page.cursor };
  render(view, page.missing, go);
}

function render(view, gateways, go) {
  const columns = [
    ['Session', ({ id }) => link(id, () => go.session(id)), 'name'],
    ['User', ({ identity }) => identity.user ?? '–'],
    ['Address', ({ address }) => address ?? '–', 'name'],
    ['Transport', ({ transport }) => transport],
    ['Route', ({ route }) => route, 'name'],
    ['Rooms', ({ rooms }) => String(rooms.length), 'number'],
    ['Queued', ({ queued_bytes: queued }) => bytes(queued), 'number'],
    ['Age', ({ age }) => seconds(age), 'number'],
  ];
  $('.scroll', view).replaceChildren(table('sessions', columns, shown.sessions));
  $('.more', view).hidden = shown.cursor === undefined;
  $('.missing', view).textContent = missing(gateways);
}

export async function showSession(view, id, go) {
  const session = await ask('GET', `/api/sessions/${encodeURIComponent(id)}`);
  const rooms = session.rooms.map((room) => link(room, () => go.room(room)));
  $('.detail', view).replaceChildren(
    element('h2', {}, id),
    element(
      'dl',
      { class: 'facts' },
      ...facts([
        ['Gateway', session.gateway],
        ['User', session.identity.user ?? 'anybody'],
        ['Address', session.address ?? 'no link just now'],
        ['Transport', session.transport],
        ['Route', session.route],
        ['Queued', bytes(session.queued_bytes)],
        ['Age', seconds(session.age)],
      ]),
    ),
    element('p', { class: 'rooms' }, ...(rooms.length === 0 ? ['In no room.'] : rooms)),
    element('button', { type: 'button', class: 'danger', onclick: () => go.close(id) }, 'Close it'),
  );
}

export async function closeSession(view, id) {
  if (!confirm(`Close the session ${id} with 1012? Its client may connect again.`)) return;
  await ask('DELETE', `/api/sessions/${encodeURIComponent(id)}`);
  $('.detail', view).replaceChildren(element('p', { class: 'hint' }, `${id} is closed.`));
}
