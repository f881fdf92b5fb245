// The demo page: one WebSocket a room. Whatever comes from a room is shown as text, never as markup.

const ROOM_NAME = /^(?=.{1,200}$)[A-Za-z0-9_:@-]+(?:\.[A-Za-z0-9_:@-]+)*$/;
/** Lines kept of each room. */
const MAX_LINES = 500;
/** Bytes of a binary message that are shown. */
const MAX_HEX = 64;
/** Back-off of reconnecting, in milliseconds; doubled with each failure, with jitter. */
const FIRST_DELAY = 500;
const LAST_DELAY = 15_000;
/** Closed for good: asked for by this tab, or by a gateway that would only do it again. */
const FINAL_CODES = new Set([1000, 1002, 1003, 1007, 1008, 1009, 4401, 4403]);

const $ = (selector, root = document) => root.querySelector(selector);
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const panels = new Map();
const tabName = `guest-${crypto.getRandomValues(new Uint16Array(1))[0].toString(36)}`;

class Panel {
  constructor(room, announces) {
    this.room = room;
    this.announces = announces;
    this.counts = { in: 0, out: 0 };
    this.lines = [];
    this.failures = 0;
    this.wanted = true;
    this.element = $('#panel').content.cloneNode(true).firstElementChild;
    this.list = $('.messages', this.element);
    this.text = $('.text', this.element);
    this.#label();
    this.text.addEventListener('input', () => this.text.setCustomValidity(''));
    $('.send', this.element).addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    $('.close', this.element).addEventListener('click', () => this.toggle());
  }

  connect() {
    clearTimeout(this.retry);
    this.#state('connecting', 'connecting');
    const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/room/${this.room}`);
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('open', () => this.#opened());
    socket.addEventListener('message', ({ data }) => this.#received(data));
    socket.addEventListener('close', ({ code, reason }) => this.#closed(code, reason));
    this.socket = socket;
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** Says goodbye, so that the others know; a room itself does not tell who is in it. */
  leave() {
    this.wanted = false;
    clearTimeout(this.retry);
    if (this.isOpen && this.announces) this.#send(`${tabName} left`);
    this.socket?.close(1000);
    if (this.socket === undefined || this.socket.readyState === WebSocket.CLOSED) this.#state('closed', 'closed');
  }

  toggle() {
    if (this.wanted) {
      this.leave();
      return;
    }
    this.wanted = true;
    this.connect();
  }

  showBuffered() {
    const bytes = this.socket?.bufferedAmount ?? 0;
    if (bytes === this.buffered) return;
    this.buffered = bytes;
    $('.buffered', this.element).textContent = size(bytes);
  }

  #label() {
    const title = $('h2', this.element);
    title.textContent = this.room;
    title.id = `title-${panels.size}`;
    this.element.setAttribute('aria-labelledby', title.id);
    this.list.setAttribute('aria-label', `Messages of room ${this.room}`);
    this.text.id = `text-${panels.size}`;
    $('.text-label', this.element).htmlFor = this.text.id;
    $('.close', this.element).setAttribute('aria-label', `Close room ${this.room}`);
  }

  #opened() {
    this.failures = 0;
    this.#state('open', 'open');
    if (this.announces) this.#send(`${tabName} joined`);
  }

  #received(data) {
    this.#line('in', data);
  }

  #closed(code, reason) {
    this.#note(`closed with ${code}${reason === '' ? '' : ` (${reason})`}`);
    if (FINAL_CODES.has(code)) this.wanted = false;
    if (!this.wanted) {
      this.#state('closed', `closed ${code}`);
      return;
    }
    const delay = Math.min(LAST_DELAY, FIRST_DELAY * 2 ** this.failures) * (0.5 + Math.random() / 2);
    this.failures += 1;
    this.#state('waiting', `closed ${code}, again in ${Math.ceil(delay / 1000)} s`);
    this.retry = setTimeout(() => this.connect(), delay);
  }

  #submit() {
    if (!this.isOpen) return;
    const data = $('.binary', this.element).checked ? bytesOf(this.text.value) : this.text.value;
    this.text.setCustomValidity(data === undefined ? 'Bytes are pairs of 0 to 9 and a to f, such as ff 00 41.' : '');
    if (!this.text.reportValidity()) return;
    this.#send(data);
    this.text.value = '';
    this.text.focus();
  }

  #send(data) {
    this.socket.send(data);
    this.#line('out', data);
    this.showBuffered();
  }

  #state(name, words) {
    this.element.dataset.state = name;
    $('.state-text', this.element).textContent = words;
    const button = $('.close', this.element);
    button.textContent = this.wanted ? 'Close' : 'Open again';
    button.setAttribute('aria-label', `${button.textContent} room ${this.room}`);
    $('.send button', this.element).disabled = name !== 'open';
  }

  #line(direction, data) {
    this.counts[direction] += 1;
    const text = typeof data === 'string';
    const bytes = text ? encoder.encode(data) : new Uint8Array(data);
    this.lines.push({ direction, at: new Date(), text: text ? data : hex(bytes), kind: text ? 'text' : 'binary', bytes: bytes.length });
    this.#showSoon();
  }

  #note(text) {
    this.lines.push({ direction: 'note', at: new Date(), text });
    this.#showSoon();
  }

  /** A busy room changes the page once a frame, and shows its last lines only. */
  #showSoon() {
    if (this.lines.length > MAX_LINES) this.lines.splice(0, this.lines.length - MAX_LINES);
    this.pending ??= setTimeout(() => this.#show(), 16);
  }

  #show() {
    this.pending = undefined;
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
    this.list.append(...this.lines.splice(0).map(lineElement));
    while (this.list.childElementCount > MAX_LINES) this.list.firstElementChild.remove();
    if (atEnd) this.list.scrollTop = this.list.scrollHeight;
    $('.in', this.element).textContent = String(this.counts.in);
    $('.out', this.element).textContent = String(this.counts.out);
  }
}

function lineElement({ direction, at, text, kind, bytes }) {
  const line = document.createElement('li');
  line.className = direction;
  const words = { in: 'received', out: 'sent', note: '' }[direction];
  line.append(part('time', clock(at)), part('span', words, 'direction'), part('span', text, 'payload'));
  if (kind !== undefined) line.append(part('span', `${kind}, ${size(bytes)}`, 'kind'));
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
  const shown = Array.from(bytes.subarray(0, MAX_HEX), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  const words = decoder.decode(bytes.subarray(0, MAX_HEX));
  return bytes.length === 0 ? '(empty)' : `${shown}${bytes.length > MAX_HEX ? ' …' : ''}  ${words}`;
}

/** Undefined for what is not written in pairs of hexadecimal digits. */
function bytesOf(written) {
  const digits = written.replaceAll(/\s/g, '');
  return /^(?:[0-9a-f]{2})*$/i.test(digits) ? Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)) : undefined;
}

function size(bytes) {
  return bytes < 1024 ? `${bytes} B` : `${(bytes / 1024).toFixed(1)} KiB`;
}

function openRoom(room, announces) {
  const known = panels.get(room);
  if (known !== undefined) {
    if (!known.wanted) known.toggle();
    known.text.focus();
    return;
  }
  const panel = new Panel(room, announces);
  panels.set(room, panel);
  $('#empty')?.remove();
  $('#rooms').append(panel.element);
  panel.connect();
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
  if (input.reportValidity()) openRoom(room, $('#announce').checked);
});
addEventListener('pagehide', () => {
  for (const panel of panels.values()) panel.leave();
});
setInterval(() => {
  for (const panel of panels.values()) panel.showBuffered();
}, 250);
