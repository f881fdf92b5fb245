// The page of the ops port: which view is shown, and who may see it.
import { ask, key, Refused } from './api.js';
import { $ } from './dom.js';
import { drain, showFleet } from './fleet.js';
import { publish } from './publish.js';
import { moreRooms, showRoom, showRooms } from './rooms.js';
import { closeSession, moreSessions, showSession, showSessions } from './sessions.js';
import { beginTap, endTap } from './tap.js';

/** How often the fleet is asked while it is looked at, in milliseconds. */
const REFRESH_MS = 2000;

const views = Object.fromEntries(['fleet', 'rooms', 'sessions', 'tap', 'publish'].map((name) => [name, $(`#${name}`)]));
let refreshing;

/** Ways from one view to another. */
const go = {
  room: (room) => show('rooms', () => showRoom(views.rooms, room, go)),
  sessions: (room) => show('sessions', () => fill(views.sessions, { room, user: '', address: '' })),
  session: (id) => act(() => showSession(views.sessions, id, go)),
  close: (id) => act(() => closeSession(views.sessions, id)),
  tap: (room) => show('tap', () => fill(views.tap, { room })),
};

function fill(view, fields) {
  for (const [name, value] of Object.entries(fields)) $(`[name=${name}]`, view).value = value;
  $('form', view).requestSubmit();
}

/** Does something for the operator; what is refused is told, and a key that is none is asked for anew. */
async function act(work) {
  const fault = $('#views > .fault');
  fault.textContent = '';
  try {
    await work();
    $('header .state').textContent = '';
  } catch (error) {
    if (error instanceof Refused && error.status === 401) return lock('This key is not the one of this ops port.');
    if (error instanceof Refused) fault.textContent = error.message;
    else $('header .state').textContent = 'The ops port does not answer.';
  }
}

function lock(why) {
  key.forget();
  clearInterval(refreshing);
  $('#views').hidden = true;
  $('#forget').hidden = true;
  $('#key-form').hidden = false;
  $('#key-form .fault').textContent = why;
  $('#key').focus();
}

async function unlock() {
  await act(async () => {
    await ask('GET', '/api/fleet');
    $('#key-form').hidden = true;
    $('#views').hidden = false;
    $('#forget').hidden = false;
    open(location.hash.slice(1));
  });
}

function open(name) {
  const current = name in views ? name : 'fleet';
  for (const [other, view] of Object.entries(views)) view.hidden = other !== current;
  for (const anchor of document.querySelectorAll('nav a')) anchor.toggleAttribute('aria-current', anchor.hash === `#${current}`);
  clearInterval(refreshing);
  if (current !== 'fleet') return;
  const refresh = () => void act(() => showFleet(views.fleet));
  refresh();
  refreshing = setInterval(refresh, REFRESH_MS);
}

function show(name, then) {
  history.pushState(undefined, '', `#${name}`);
  open(name);
  void act(async () => then());
}

function onSubmit(view, work) {
  $('form', view).addEventListener('submit', (event) => {
    event.preventDefault();
    void act(work);
  });
}

onSubmit(views.rooms, () => showRooms(views.rooms, go));
onSubmit(views.sessions, () => showSessions(views.sessions, go));
onSubmit(views.tap, () => beginTap(views.tap));
onSubmit(views.publish, () => publish(views.publish));
$('.more', views.rooms).addEventListener('click', () => void act(() => moreRooms(views.rooms, go)));
$('.more', views.sessions).addEventListener('click', () => void act(() => moreSessions(views.sessions, go)));
$('#stop').addEventListener('click', () => endTap(views.tap));
$('#drain').addEventListener('click', () => void act(drain));
$('#forget').addEventListener('click', () => lock(''));
$('#key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  key.set($('#key').value);
  $('#key').value = '';
  void unlock();
});
addEventListener('hashchange', () => open(location.hash.slice(1)));
addEventListener('popstate', () => open(location.hash.slice(1)));

if (key.get() === '') lock('');
else void unlock();
