// One payload to one room or several.
import { ask } from './api.js';
import { $, table } from './dom.js';

const COLUMNS = [
  ['Room', ({ room }) => room, 'name'],
  ['Outcome', ({ error, position }) => error ?? position ?? 'published', 'name'],
];

export async function publish(view) {
  const rooms = $('[name=rooms]', view)
    .value.split(/\s+/)
    .filter((room) => room !== '');
  const id = $('[name=id]', view).value.trim();
  const body = { rooms, ...content($('[name=payload]', view).value), ...(id === '' ? {} : { id }) };
  const { results } = await ask('POST', '/api/publish', { body });
  $('.results', view).replaceChildren(table('results', COLUMNS, results));
}

/** What is JSON is published as it is; anything else is text. */
function content(payload) {
  try {
    return { data: JSON.parse(payload) };
  } catch {
    return { text: payload };
  }
}
