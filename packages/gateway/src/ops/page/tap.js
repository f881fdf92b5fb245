// Live messages of a room.
import { tap } from './api.js';
import { $, element } from './dom.js';

/** Lines kept. */
const MAX_LINES = 500;

let stop;

export function endTap(view) {
  stop?.abort();
  stop = undefined;
  $('#stop', view).hidden = true;
}

export async function beginTap(view) {
  endTap(view);
  const list = $('.messages', view);
  const room = $('[name=room]', view).value.trim();
  const listening = new AbortController();
  stop = listening;
  list.replaceChildren();
  $('#stop', view).hidden = false;
  try {
    await tap(room, (event, data) => append(list, event, data), listening.signal);
    append(list, 'end', {});
  } catch (error) {
    if (!listening.signal.aborted) throw error;
  } finally {
    if (stop === listening) endTap(view);
  }
}

function append(list, event, data) {
  const time = element('time', {}, new Date().toLocaleTimeString('en-GB'));
  const line = element('li', { class: event }, time, element('span', {}, wordsOf(event, data)));
  if (event === 'message' && data.position !== undefined) line.append(element('small', {}, data.position));
  list.append(line);
  while (list.children.length > MAX_LINES) list.firstElementChild.remove();
  line.scrollIntoView({ block: 'nearest' });
}

function wordsOf(event, { text, base64, data, count }) {
  if (event === 'skipped') return `${count} more were not shown`;
  if (event === 'gap') return 'a gap: messages may have been lost';
  if (event === 'end') return 'the gateway has ended the tap';
  return text ?? (base64 === undefined ? JSON.stringify(data) : `base64 ${base64}`);
}
