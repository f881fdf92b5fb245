// The demo page: one bus, some rooms. Whatever comes from a room is shown as text, never as markup.
import { connect } from '/client/index.js';

const ROOM_NAME = /^(?=.{1,200}$)[A-Za-z0-9_:@-]+(?:\.[A-Za-z0-9_:@-]+)*$/;
/** Lines kept of each room. */
const MAX_LINES = 500;
/** Bytes of a binary message that are shown. */
const MAX_HEX = 64;
/** Messages of the history that a room opens with. */
const LAST = 20;
const SLEEP_MS = 5000;
/** How often the countdown counts, in milliseconds. */
const COUNT_MS = 250;

const $ = (selector, root = document) => root.querySelector(selector);
const panels = new Map();
const tabName = `guest-${crypto.getRandomValues(new Uint16Array(1))[0].toString(36)}`;
let bus;
/** What is to be said of the bus, and until when it waits. */
let shown = { words: '', until: 0 };

class Panel {
  constructor(name) {
    this.name = name;
    this.counts = { in: 0, gaps: 0 };
    this.lines = [];
    this.element = $('#panel').content.cloneNode(true).firstElementChild;
    this.list = $('.messages', this.element);
    this.text = $('.text', this.element);
    this.#label();
    $('.send', this.element).addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    $('.close', this.element).addEventListener('click', () => this.toggle());
    $('.remove', this.element).addEventListener('click', () => this.#remove());
  }

  get isOpen() {
    return this.room !== undefined && this.room.state !== 'left';
  }

  /** Joins anew where it was, or for the first time with the newest messages. */
  join({ greets }) {
    const room = bus.join(this.name, this.position === undefined ? { last: LAST } : { since: this.position });
    this.room = room;
    let isGreeting = greets && $('#announce').checked;
    room.on('message', (message) => this.#received(message));
    room.on('gap', ({ after, missed }) => this.#gap(after, missed));
    room.on('state', (state, error) => {
      this.#state();
      if (error !== undefined) this.note(`closed: ${error.code}`);
      if (state === 'joined' && isGreeting) this.say({ from: tabName, event: 'joined' });
      if (state === 'joined') isGreeting = false;
    });
    this.#state();
  }

  /** Says goodbye, so that the others know; a room itself does not tell who is in it. `say`: how, where the page is about to go. */
  leave(say = (value) => this.say(value)) {
    if (!this.isOpen) return;
    if ($('#announce').checked) say({ from: tabName, event: 'left' });
    this.room.leave();
    this.note('closed by this tab');
  }

  toggle() {
    if (this.isOpen) this.leave();
    else this.join({ greets: true });
  }

  /** What a connection of a page that goes still holds may go with it; a beacon is sent all the same. */
  sayInPassing(value) {
    navigator.sendBeacon(`/room/${encodeURIComponent(this.name)}`, JSON.stringify(value));
  }

  say(value) {
    this.room.publish(value).catch((error) => this.note(`not sent: ${error.code}`));
  }

  #label() {
    const title = $('h2', this.element);
    title.textContent = this.name;
    title.id = `title-${this.name}`;
    this.element.setAttribute('aria-labelledby', title.id);
    this.list.setAttribute('aria-label', `Messages of room ${this.name}`);
    this.text.id = `text-${this.name}`;
    $('.text-label', this.element).htmlFor = this.text.id;
  }

  #submit() {
    if (!this.isOpen || this.text.value === '') return;
    this.say({ from: tabName, text: this.text.value });
    this.text.value = '';
    this.text.focus();
  }

  #remove() {
    panels.delete(this.name);
    this.element.remove();
    $('#empty').hidden = panels.size > 0;
  }

  #received(message) {
    this.counts.in += 1;
    this.position = message.position;
    this.#line(lineOf(message));
  }

  #gap(after, missed) {
    this.counts.gaps += 1;
    const words = missed === undefined ? 'a gap: messages may have been missed' : `this tab was too slow for ${missed} messages`;
    this.note(`${words}; a page would fetch the room's state again in ${Math.round(after)} ms`);
  }

  #state() {
    const { state } = this.room;
    this.element.dataset.state = { joining: 'waiting', joined: 'open', left: 'closed' }[state];
    $('.state-text', this.element).textContent = { joining: 'joining', joined: 'open', left: 'closed' }[state];
    const close = $('.close', this.element);
    close.textContent = this.isOpen ? 'Close' : 'Open again';
    close.setAttribute('aria-label', `${close.textContent} room ${this.name}`);
    const remove = $('.remove', this.element);
    remove.hidden = this.isOpen;
    remove.setAttribute('aria-label', `Remove room ${this.name}`);
    $('.send button', this.element).disabled = !this.isOpen;
  }

  note(text) {
    this.#line({ direction: 'note', at: new Date(), text });
  }

  #line(line) {
    this.lines.push(line);
    if (this.lines.length > MAX_LINES) this.lines.splice(0, this.lines.length - MAX_LINES);
    this.pending ??= setTimeout(() => this.#show(), 16);
  }

  /** A busy room changes the page once a frame, and shows its last lines only. */
  #show() {
    this.pending = undefined;
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
    this.list.append(...this.lines.splice(0).map(lineElement));
    while (this.list.childElementCount > MAX_LINES) this.list.firstElementChild.remove();
    if (atEnd) this.list.scrollTop = this.list.scrollHeight;
    for (const name of ['in', 'gaps']) $(`.${name}`, this.element).textContent = String(this.counts[name]);
    $('.position', this.element).textContent = this.position ?? 'no history';
  }
}

/** What a message says: of this page by whom, else as it is. */
function lineOf(message) {
  const { data } = message;
  const isOurs = typeof data === 'object' && data !== null && typeof data.from === 'string';
  const line = { at: new Date(), direction: isOurs && data.from === tabName ? 'own' : 'in', who: isOurs ? data.from : '' };
  if (data instanceof Uint8Array) return { ...line, text: hex(data), kind: `binary, ${size(data.length)}` };
  if (isOurs && typeof data.text === 'string') return { ...line, text: data.text };
  if (isOurs && typeof data.event === 'string') return { ...line, text: data.event };
  return { ...line, text: message.text, kind: size(message.bytes.length) };
}

function lineElement({ direction, at, who = '', text, kind }) {
  const line = document.createElement('li');
  line.className = direction;
  line.append(part('time', clock(at)), part('span', who, 'who'), part('span', text, 'payload'));
  if (kind !== undefined) line.append(part('span', kind, 'kind'));
  return line;
}

function part(tag, text, className = '') {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function clock(date) {
  return `${date.toTimeString().slice(0, 8)}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

function hex(bytes) {
  const shownBytes = Array.from(bytes.subarray(0, MAX_HEX), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return bytes.length === 0 ? '(empty)' : `${shownBytes}${bytes.length > MAX_HEX ? ' …' : ''}`;
}

function size(bytes) {
  return bytes < 1024 ? `${bytes} B` : `${(bytes / 1024).toFixed(1)} KiB`;
}

/** A new bus; rooms that are open go on over it where they were. */
function start() {
  const open = [...panels.values()].filter((panel) => panel.isOpen);
  bus?.close();
  const chosen = $('#transport').value;
  bus = connect('/socket', chosen === '' ? {} : { transports: [chosen] });
  // That it opens for the first time is nothing to tell.
  let isNews = false;
  bus.on('state', (state, { transport, after, code }) => {
    const until = after === undefined ? 0 : performance.now() + after;
    const words = { connecting: `connecting over ${transport}`, open: `open over ${transport}`, waiting: 'not connected', closed: `closed for ever: ${code}` }[
      state
    ];
    shown = { state, words, until };
    showBus();
    isNews ||= state !== 'open' && state !== 'connecting';
    if (isNews && state !== 'connecting') for (const panel of panels.values()) if (panel.isOpen) panel.note(words);
  });
  shown = { state: bus.state, words: `connecting over ${bus.transport}`, until: 0 };
  showBus();
  for (const panel of open) panel.join({ greets: false });
}

function showBus() {
  const seconds = Math.max(0, Math.ceil((shown.until - performance.now()) / 1000));
  $('#bus').dataset.state = shown.state;
  $('#bus .state-text').textContent = shown.until === 0 ? shown.words : `${shown.words}, again in ${seconds} s`;
}

/** What a page goes through that is put into the back/forward cache, or a phone that is locked: its rooms resume. */
function sleep() {
  dispatchEvent(new Event('pagehide'));
  shown = { state: 'waiting', words: 'asleep', until: performance.now() + SLEEP_MS };
  showBus();
  $('#sleep').disabled = true;
  setTimeout(() => {
    $('#sleep').disabled = false;
    dispatchEvent(new Event('pageshow'));
  }, SLEEP_MS);
}

function openRoom(name) {
  const known = panels.get(name);
  const panel = known ?? new Panel(name);
  if (known === undefined) {
    panels.set(name, panel);
    $('#empty').hidden = true;
    $('#rooms').append(panel.element);
  }
  if (!panel.isOpen) panel.join({ greets: true });
  panel.text.focus();
}

const input = $('#room');
$('#name').textContent = tabName;
$('#curl').textContent = `curl -d hello ${location.origin}/room/1`;
input.addEventListener('input', () => input.setCustomValidity(''));
$('#open').addEventListener('submit', (event) => {
  event.preventDefault();
  const room = input.value.trim();
  input.setCustomValidity(ROOM_NAME.test(room) ? '' : 'A room name is 1 to 200 letters, digits and _ : @ -, with single dots between levels.');
  if (input.reportValidity()) openRoom(room);
});
$('#transport').addEventListener('change', start);
$('#sleep').addEventListener('click', sleep);
// Before the bus listens: it lets go of its connection then. A page that only pretends has nobody to say goodbye to.
addEventListener('pagehide', (event) => {
  if (event instanceof PageTransitionEvent) for (const panel of panels.values()) panel.leave((value) => panel.sayInPassing(value));
});
setInterval(showBus, COUNT_MS);
start();
